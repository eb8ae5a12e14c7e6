package gitops

import (
	"io"
	"log"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/test/clone"
)

const root = "../../.."

// fork is an organisation's own copy of this repository: a working tree, the remote that Argo CD reads over HTTP, and a registry.
type fork struct {
	t        *testing.T
	dir      string
	url      string // of the remote
	registry string // host/path
}

// newFork makes the copy the fork's own with `make init`, as docs/gitops.md says, and pushes it.
func newFork(t *testing.T) *fork {
	t.Helper()
	images := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(images.Close)
	remotes := t.TempDir()
	backend, err := exec.Command("git", "--exec-path").Output()
	require.NoError(t, err)
	remote := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(backend)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + remotes, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"},
	})
	t.Cleanup(remote.Close)
	f := &fork{t: t, dir: clone.Tree(t, root), url: remote.URL + "/wasmfleet.git", registry: strings.TrimPrefix(images.URL, "http://") + "/filters"}
	f.run(`git init -q --bare "` + remotes + `/wasmfleet.git"
git -C "` + remotes + `/wasmfleet.git" config http.receivepack true
git config user.name e2e && git config user.email e2e@localhost && git checkout -q -B main
git config http.postBuffer 1073741824 # more than the history: git would send it in chunks, which a CGI does not read
make -s init OWNER=acme REGISTRY="$REGISTRY" REPOSITORY=https://git.example/wasmfleet.git
sed -i "s|https://git.example/wasmfleet.git|$URL|" manifests/argocd/*.yaml # this git has no TLS
git commit -qam "The registry and the repository of acme"
git remote add origin "$URL"
git push -q origin main`)
	return f
}

// run runs a script in the working tree and gives what it prints.
func (f *fork) run(script string) string {
	f.t.Helper()
	cmd := exec.CommandContext(f.t.Context(), "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = f.dir
	cmd.Env = append(os.Environ(), "REGISTRY="+f.registry, "URL="+f.url, "PROMOTEFLAGS=--allow-loopback") // the registry is on this machine
	out, err := cmd.CombinedOutput()
	require.NoError(f.t, err, "%s\n%s", script, out)
	return strings.TrimSpace(string(out))
}

// push commits everything and pushes it; it gives the revision.
func (f *fork) push(message string) (revision string) {
	f.t.Helper()
	return f.run("git add -A manifests filters && git commit -q -m '" + message + "' && git push -q origin HEAD:main && git rev-parse HEAD")
}

// echo is the workload behind a sidecar.
func echo(t *testing.T) (address string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello from the workload\n") }))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}
