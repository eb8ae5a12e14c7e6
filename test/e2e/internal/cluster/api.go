// Package cluster is Kubernetes and Istio on this machine, as plain processes of the loopback: etcd and kube-apiserver, istiod,
// and for each workload the agent with a real Envoy. No kubelet, no containers: a Pod is only what the API says of it.
package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/wasmfleet/wasmfleet/test/e2e/internal/process"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/programs"
)

// Admin may do everything.
const Admin = "admin"

// APIOptions are optional.
type APIOptions struct {
	Users []string // besides Admin: each may do what roles are bound to it
}

// API is an etcd and a kube-apiserver with Istio's CRDs.
type API struct {
	*kubernetes.Clientset // of Admin
	Dynamic               *dynamic.DynamicClient
	URL                   string
	Process               *process.Process // the kube-apiserver

	dir    string
	tokens map[string]string // by user
	config *rest.Config      // of Admin
	mapper *restmapper.DeferredDiscoveryRESTMapper
}

// StartAPI returns when objects of every kind of Istio can be created.
func StartAPI(t testing.TB, o APIOptions) *API {
	t.Helper()
	a := &API{dir: shortDir(t), tokens: map[string]string{}}
	writePKI(t, a.dir)
	var tokens strings.Builder
	for _, user := range append([]string{Admin}, o.Users...) {
		a.tokens[user] = rand.Text()
		fmt.Fprintf(&tokens, "%s,%s,%[2]s,%s\n", a.tokens[user], user, map[bool]string{true: "system:masters", false: user}[user == Admin])
	}
	require.NoError(t, os.WriteFile(filepath.Join(a.dir, "tokens.csv"), []byte(tokens.String()), 0o600))

	etcd := startEtcd(t, a.dir)
	port := process.Port(t)
	a.URL = "https://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	a.connect(t)
	in := func(name string) string { return filepath.Join(a.dir, name) }
	a.Process = process.Start(t, process.Program{
		Name: "kube-apiserver",
		Path: programs.Path(t, programs.APIServer),
		Args: []string{
			"--etcd-servers=" + etcd,
			"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port),
			"--endpoint-reconciler-type=none", // it may not be on the loopback
			"--cert-dir=" + in("."), "--tls-cert-file=" + in("api.crt"), "--tls-private-key-file=" + in("api.key"),
			"--token-auth-file=" + in("tokens.csv"), "--authorization-mode=RBAC", "--anonymous-auth=false",
			"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + in("sa.pub"),
			"--service-account-signing-key-file=" + in("sa.key"),
			"--service-cluster-ip-range=10.96.0.0/24",
			"--disable-admission-plugins=ServiceAccount", // nobody makes the accounts' tokens
			"--profiling=false",
		},
		Dir: a.dir,
		Ready: func(ctx context.Context) error {
			_, err := a.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
			return err
		},
	})
	a.ApplyFile(t, programs.File(t, "istio.io/api", "kubernetes/customresourcedefinitions.gen.yaml"))
	a.established(t)
	return a
}

func startEtcd(t testing.TB, dir string) (url string) {
	t.Helper()
	address := process.Address(t)
	client, peer := "http://"+address, "http://"+process.Address(t)
	process.Start(t, process.Program{
		Name: "etcd",
		Path: programs.Path(t, programs.Etcd),
		Args: []string{
			"--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level", "warn",
			"--listen-client-urls", client, "--advertise-client-urls", client,
			"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer,
		},
		Dir:   dir,
		Ready: answers(client + "/health"),
	})
	return client
}

// StartControllerManager runs the controllers that delete: the garbage collector, and that of namespaces.
func StartControllerManager(t testing.TB, a *API) *process.Process {
	t.Helper()
	port := process.Port(t)
	kubeconfig := a.Kubeconfig(t, Admin, "")
	return process.Start(t, process.Program{
		Name: "kube-controller-manager",
		Path: programs.Path(t, programs.ControllerManager),
		Args: []string{
			"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
			"--controllers=garbage-collector-controller,namespace-controller", "--leader-elect=false",
			"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(port), "--cert-dir=" + shortDir(t),
		},
		Dir:   a.dir,
		Ready: Listens(net.JoinHostPort("127.0.0.1", strconv.Itoa(port))),
	})
}

func (a *API) connect(t testing.TB) {
	config, err := clientcmd.BuildConfigFromFlags("", a.Kubeconfig(t, Admin, ""))
	require.NoError(t, err)
	config.QPS, config.Burst = 1000, 1000
	config.WarningHandler = rest.NoWarnings{}
	a.config = config
	a.Clientset, err = kubernetes.NewForConfig(config)
	require.NoError(t, err)
	a.Dynamic, err = dynamic.NewForConfig(config)
	require.NoError(t, err)
	a.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(a.Discovery()))
}

// Kubeconfig writes a file with which the user reaches the API.
func (a *API) Kubeconfig(t testing.TB, user, namespace string) (file string) {
	t.Helper()
	require.Contains(t, a.tokens, user)
	file = filepath.Join(a.dir, user+"."+namespace+".kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"e2e": {Server: a.URL, CertificateAuthority: filepath.Join(a.dir, "ca.crt")}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{user: {Token: a.tokens[user]}},
		Contexts:       map[string]*clientcmdapi.Context{"e2e": {Cluster: "e2e", AuthInfo: user, Namespace: namespace}},
		CurrentContext: "e2e",
	}, file))
	return file
}

// established waits for the CRDs.
func (a *API) established(t testing.TB) {
	t.Helper()
	crds := a.Dynamic.Resource(crdResource)
	process.Until(t, timeout, "CRDs", func(ctx context.Context) error {
		list, err := crds.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, crd := range list.Items {
			if !hasCondition(crd.Object, "Established") {
				return errors.New(crd.GetName())
			}
		}
		a.mapper.Reset()
		return nil
	})
}

// Namespaces creates them, as far as they are missing.
func (a *API) Namespaces(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := a.CoreV1().Namespaces().Create(t.Context(), namespace(name), metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			require.NoError(t, err)
		}
	}
}

// shortDir is a temporary folder with a path short enough for sockets in it: those have 108 bytes.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}
