// Package programs builds the programs that the end-to-end tests start, at the versions of this module's go.mod.
package programs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// The packages of the programs. Each is a tool of go.mod, which keeps what it needs there.
const (
	Etcd              = "go.etcd.io/etcd/server/v3"
	APIServer         = "k8s.io/kubernetes/cmd/kube-apiserver"
	ControllerManager = "k8s.io/kubernetes/cmd/kube-controller-manager"
	Kubectl           = "k8s.io/kubernetes/cmd/kubectl"
	Istiod            = "istio.io/istio/pilot/cmd/pilot-discovery"
	Agent             = "istio.io/istio/pilot/cmd/pilot-agent"
	ArgoCD            = "github.com/wasmfleet/wasmfleet/test/e2e/gitops/argocd"
)

var all = []string{Etcd, Agent, APIServer, ControllerManager, Kubectl, Istiod, ArgoCD}

var building sync.Mutex

// Path builds the tool of a package, unless Go's build cache has it, and returns the file there.
func Path(t testing.TB, tool string) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	// -n: only print the command that would run, which is the file that was built.
	path := strings.TrimSpace(goCommand(t, "tool", "-n", tool))
	require.FileExists(t, path)
	return path
}

// compile compiles what the tools consist of, all of it at once: one after the other, a processor idles while each is linked.
func compile(t testing.TB, tools ...string) {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	goCommand(t, append([]string{"build"}, tools...)...)
}

func goCommand(t testing.TB, args ...string) (stdout string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	// `go tool` takes no build flags, so there are none here and none in the Makefile: other flags are another cache, and all of
	// Istio and Kubernetes would compile twice.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, "go %s: %s", args, &errs)
	return string(out)
}

// File is a file of a module that this one requires, such as its CRDs.
func File(t testing.TB, module, path string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	require.NoError(t, err, "looking for module %s", module)
	file := filepath.Join(strings.TrimSpace(string(out)), filepath.FromSlash(path))
	_, err = os.Stat(file)
	require.NoError(t, err)
	return file
}
