package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	authv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/process"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/programs"
)

// Kinds of proxy, in Istio's words.
const (
	Gateway = "router"
	Sidecar = "sidecar"
)

// ProxyOptions say which workload the proxy is of.
type ProxyOptions struct {
	Kind            string // Gateway or Sidecar
	Namespace, Name string
	Labels          map[string]string
	// Address is a 127.0.0.x of its own: istiod takes a proxy for the workload that has its address.
	Address string
	Env     []string // further environment variables of the agent
	Workers int      // of Envoy; 2 when zero
}

// Proxy is an Envoy that Istio's agent has started, the way it is in a pod.
type Proxy struct {
	ID      string // what istiod calls it
	Admin   string // URL of Envoy's admin interface
	Agent   string // URL of the agent, which has its metrics
	Address string
	Process *process.Process

	owner   testing.TB // the test that it lives as long as
	istiod  *Istiod
	options ProxyOptions
}

// StartProxy returns when Envoy serves what istiod has sent. It makes the service account of the workload. However often it is
// restarted, and by which subtest, the proxy ends with this test.
func StartProxy(t testing.TB, i *Istiod, o ProxyOptions) *Proxy {
	t.Helper()
	i.api.serviceAccount(t, o.Namespace, o.Name)
	p := &Proxy{ID: o.Name + "." + o.Namespace, Address: o.Address, owner: t, istiod: i, options: o}
	p.Start(t)
	return p
}

// Restart is what a roll-out does: another proxy, which has nothing of the old one.
func (p *Proxy) Restart(t testing.TB) {
	t.Helper()
	p.Process.Stop(t)
	p.Start(t)
}

// Start starts the proxy anew; after Stop of its Process.
func (p *Proxy) Start(t testing.TB) {
	t.Helper()
	o, dir := p.options, shortDir(p.owner)
	program, err := envoy.FindEnvoy()
	require.NoError(t, err)
	p.writeCredentials(t, dir)
	admin, status, stats := process.Port(t), process.Port(t), process.Port(t)
	p.Admin, p.Agent = fmt.Sprintf("http://127.0.0.1:%d", admin), fmt.Sprintf("http://127.0.0.1:%d", status)
	p.istiod.api.statusPort(t, o.Namespace, o.Name, status)
	config := Bootstrap(t, o, admin, pipe("./etc/istio/proxy/XDS"), pipe("./var/run/secrets/workload-spiffe-uds/socket"))
	addStats(t, config, admin, stats)
	bootstrap, err := envoy.Marshal(config)
	require.NoError(t, err)
	file := filepath.Join(dir, "bootstrap.json")
	require.NoError(t, os.WriteFile(file, bootstrap, 0o644))
	workers := o.Workers
	if workers == 0 {
		workers = 2
	}
	agent, err := json.Marshal(map[string]any{
		"discoveryAddress": p.istiod.address, "statusPort": status, "proxyAdminPort": admin, "binaryPath": program,
		"concurrency": workers, "terminationDrainDuration": "1s", "customConfigFile": file,
	})
	require.NoError(t, err)
	modules := filepath.Join(dir, "modules")
	require.NoError(t, os.MkdirAll(modules, 0o755))
	p.Process = process.Start(t, process.Program{
		Name: p.ID,
		Path: "/bin/sh",
		// The agent keeps modules in a folder that is compiled in: this gives it one of its own, which only it and Envoy see.
		Args: []string{
			"-ec", `mount -t tmpfs tmpfs /var/lib; mkdir -p /var/lib/istio/data; mount --bind "$1" /var/lib/istio/data; shift; exec "$@"`, "sh", modules,
			programs.Path(t, programs.Agent), "proxy", o.Kind, "--domain", o.Namespace + ".svc.cluster.local", "--proxyLogLevel=warning",
		},
		Isolated: true,
		Dir:      dir, // sockets and credentials have relative paths
		Env: append([]string{
			"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + dir, "TMPDIR=" + dir, "PROXY_CONFIG=" + string(agent), "ENVOY_PROMETHEUS_PORT=" + strconv.Itoa(stats),
			"POD_NAME=" + o.Name, "POD_NAMESPACE=" + o.Namespace, "INSTANCE_IP=" + o.Address, "SERVICE_ACCOUNT=" + o.Name, "TRUST_DOMAIN=cluster.local",
			"JWT_POLICY=third-party-jwt", "PILOT_CERT_PROVIDER=istiod", "CA_ADDR=" + p.istiod.address, "ISTIOD_SAN=istiod." + SystemNamespace + ".svc",
			"ISTIO_META_CLUSTER_ID=Kubernetes", "ISTIO_META_INTERCEPTION_MODE=NONE", "PEER_METADATA_DISCOVERY=false", "GRPC_XDS_BOOTSTRAP=",
		}, o.Env...),
		Ready: p.ready,
		Owner: p.owner,
	})
}

// ready: Envoy says so when it has listeners and clusters; the filters of a listener are there before it.
func (p *Proxy) ready(ctx context.Context) error {
	if _, err := get(ctx, p.Admin+"/ready"); err != nil {
		return err
	}
	var answer struct {
		Listeners []any `json:"listener_statuses"`
	}
	body, err := get(ctx, p.Admin+"/listeners?format=json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if len(answer.Listeners) == 0 {
		return errors.New("no listener")
	}
	return nil
}

// writeCredentials writes what the kubelet would mount: the workload's token, and the CA that istiod gives its namespace.
func (p *Proxy) writeCredentials(t testing.TB, dir string) {
	t.Helper()
	namespace, name := p.options.Namespace, p.options.Name
	tokens, roots := filepath.Join(dir, "var/run/secrets/tokens"), filepath.Join(dir, "var/run/secrets/istio")
	for _, dir := range []string{tokens, roots, filepath.Join(dir, "etc/istio/proxy")} {
		require.NoError(t, os.MkdirAll(dir, 0o755))
	}
	token, err := p.istiod.api.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), name,
		&authv1.TokenRequest{Spec: authv1.TokenRequestSpec{Audiences: []string{"istio-ca"}}}, metav1.CreateOptions{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(tokens, "istio-token"), []byte(token.Status.Token), 0o600))
	process.Until(t, timeout, "CA of namespace "+namespace, func(ctx context.Context) error {
		root, err := p.istiod.api.CoreV1().ConfigMaps(namespace).Get(ctx, "istio-ca-root-cert", metav1.GetOptions{})
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(roots, "root-cert.pem"), []byte(root.Data["root-cert.pem"]), 0o644)
	})
}

// URL is where the proxy listens on a port.
func (p *Proxy) URL(port int) string { return "http://" + p.Address + ":" + strconv.Itoa(port) }
