package gitops

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"

	"github.com/wasmfleet/wasmfleet/test/e2e/internal/cluster"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/process"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/programs"
)

const (
	argoModule = "github.com/argoproj/argo-cd/v3"
	argocd     = "argocd" // the namespace

	accounts          = "system:serviceaccount:" + argocd + ":"
	appController     = "argocd-application-controller"
	appSetController  = "argocd-applicationset-controller"
	repoServer        = "argocd-repo-server"
	controllerAccount = accounts + appController
	appSetAccount     = accounts + appSetController
)

// startArgo runs Argo CD without its user interface: a cache, the repo server, the two controllers, each with the rights that its
// service account has by Argo CD's own manifests in its own namespace. What it may do elsewhere the fork's manifests/argocd says.
func startArgo(t *testing.T, api *cluster.API) {
	t.Helper()
	for _, crd := range []string{"application", "applicationset", "appproject"} {
		api.ApplyCRDs(t, programs.File(t, argoModule, "manifests/crds/"+crd+"-crd.yaml"))
	}
	api.Namespaces(t, argocd)
	for _, file := range []string{
		"application-controller-roles/argocd-application-controller-role", "application-controller-roles/argocd-application-controller-rolebinding",
		"applicationset-controller/argocd-applicationset-controller-role", "applicationset-controller/argocd-applicationset-controller-rolebinding",
		"config/argocd-cm", "config/argocd-rbac-cm",
	} {
		applyInNamespace(t, api, programs.File(t, argoModule, "manifests/base/"+file+".yaml"))
	}
	api.Apply(t, `
apiVersion: v1
kind: Secret
metadata: {name: argocd-secret, namespace: argocd, labels: {app.kubernetes.io/name: argocd-secret, app.kubernetes.io/part-of: argocd}}
stringData: {server.secretkey: of-no-server}
`)

	cache := miniredis.RunT(t)
	ctx := t.Context()
	go func() { // it expires what it holds only when told that time has passed
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				cache.FastForward(time.Second)
			}
		}
	}()

	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	for _, sub := range []string{"bin", "home", "tmp", "tls", "ssh", "gpg"} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, sub), 0o700))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "ssh", "ssh_known_hosts"), nil, 0o600))
	program := programs.Path(t, programs.ArgoCD)
	for _, name := range []string{appController, appSetController, repoServer, "argocd-git-ask-pass"} {
		require.NoError(t, os.Symlink(program, filepath.Join(bin, name)))
	}
	// The repo server calls them for every revision, also where it verifies nothing.
	for _, script := range []string{"git-verify-wrapper.sh", "gpg-wrapper.sh"} {
		text, err := os.ReadFile(programs.File(t, argoModule, "hack/"+script))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(bin, script), text, 0o700))
	}
	env := func(kubeconfig string) []string {
		return []string{
			"HOME=" + dir + "/home", "TMPDIR=" + dir + "/tmp", "PATH=" + bin + ":/usr/bin:/bin", "ARGOCD_GPG_ENABLED=false",
			"ARGOCD_TLS_DATA_PATH=" + dir + "/tls", "ARGOCD_SSH_DATA_PATH=" + dir + "/ssh", "ARGOCD_GNUPGHOME=" + dir + "/gpg",
			// https://kubernetes.default.svc, as every manifest has it, is the API server of the kubeconfig.
			"ARGOCD_FAKE_IN_CLUSTER=true", "KUBECONFIG=" + kubeconfig,
		}
	}
	repoPort := process.Port(t)
	repo := net.JoinHostPort("127.0.0.1", strconv.Itoa(repoPort))
	process.Start(t, process.Program{
		Name: repoServer, Path: filepath.Join(bin, repoServer), Dir: dir, Env: env(""),
		Args: []string{
			"--address", "127.0.0.1", "--port", strconv.Itoa(repoPort), "--metrics-address", "127.0.0.1", "--metrics-port", strconv.Itoa(process.Port(t)),
			"--disable-tls", "--client-ca-path=", "--redis", cache.Addr(), "--logformat", "text", "--revision-cache-expiration", "1s",
		},
		Ready: cluster.Listens(repo),
	})
	// KUBECONFIG is a list whose separator stands in the name of an account.
	kubeconfig := func(name, account string) string {
		text, err := os.ReadFile(api.Kubeconfig(t, account, argocd))
		require.NoError(t, err)
		file := filepath.Join(dir, name+".kubeconfig")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		return file
	}
	controller := kubeconfig(appController, controllerAccount)
	metrics := process.Port(t)
	process.Start(t, process.Program{
		Name: appController, Path: filepath.Join(bin, appController), Dir: dir, Env: env(controller),
		Args: []string{
			"--kubeconfig", controller, "--namespace", argocd, "--repo-server", repo, "--repo-server-plaintext", "--redis", cache.Addr(),
			"--metrics-port", strconv.Itoa(metrics), "--logformat", "text", "--self-heal-timeout-seconds", "1",
		},
		Ready: cluster.Listens(net.JoinHostPort("127.0.0.1", strconv.Itoa(metrics))),
	})
	sets := kubeconfig(appSetController, appSetAccount)
	probe := process.Address(t)
	process.Start(t, process.Program{
		Name: appSetController, Path: filepath.Join(bin, appSetController), Dir: dir, Env: env(sets),
		Args: []string{
			"--kubeconfig", sets, "--namespace", argocd, "--argocd-repo-server", repo, "--repo-server-plaintext",
			"--metrics-addr", process.Address(t), "--probe-addr", probe, "--webhook-addr", process.Address(t), "--logformat", "text",
		},
		Ready: cluster.Listens(probe),
	})
}

// applyInNamespace does what `kubectl apply -n argocd` does with Argo CD's own manifests, which name no namespace.
func applyInNamespace(t *testing.T, api *cluster.API, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	objects, err := cluster.Objects(text)
	require.NoError(t, err)
	for _, o := range objects {
		o.SetNamespace(argocd)
		if subjects, ok := o.Object["subjects"].([]any); ok {
			for _, s := range subjects {
				s.(map[string]any)["namespace"] = argocd
			}
		}
		text, err := yaml.Marshal(o.Object)
		require.NoError(t, err)
		api.Apply(t, string(text))
	}
}
