//go:build envoy

package envoy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// The story of a session: what is rendered is served, what is rendered next is followed, what is refused changes nothing, and
// nothing is left behind.
func TestRunFollowsWhatIsRendered(t *testing.T) {
	w := newWorkspace(t)
	module, _ := fixture(t, "probe")
	probe := w.build("probe", module)
	callerModule, _ := fixture(t, "caller")
	caller := w.build("caller", callerModule)
	w.render(probe.object("STATS", "{value: world}"), caller.object("AUTHN", "{upstream: {host: token.internal, port: 80}}"))
	r := w.run()

	// The registry is down, but build/ holds the pinned images. AUTHN comes first.
	r.says("run: probe: pulling it failed .* is used instead")
	r.says(`(?m)caller +AUTHN .*\n.*probe +STATS `)
	got := r.get("/hello")
	require.Equal(t, "world", got.Header.Get("x-probe"))
	require.Regexp(t, `^Bearer [\w-]+\.[\w-]+\.[\w-]+$`, got.Upstream(t).Headers["authorization"], "the stand-in for what the filter calls")

	// Another value, the whole folder exchanged as render does it; a filter less; and one more again.
	w.render(probe.object("STATS", "{value: moon}"))
	r.says("run: probe: new configuration in service")
	r.says("run: caller: removed")
	got = r.get("/")
	require.Equal(t, "moon", got.Header.Get("x-probe"))
	require.NotContains(t, got.Upstream(t).Headers, "authorization")

	// What the filter refuses, and what is no YAML, is said and changes nothing.
	w.edit("probe", "value: moon", "valu: moon")
	r.says(`run: .*/rendered/local/probe.yaml: WasmPlugin "probe": probe: want value.* the version before serves on`)
	w.edit("probe", "kind:", "kind: [")
	r.says(`run: .*/rendered/local/probe.yaml: error converting YAML .* what served before serves on`)
	require.Equal(t, "moon", r.get("/").Header.Get("x-probe"))

	// A new module, in the registry.
	next := w.publish("probe", envoytest.OtherBytes(module, "next"))
	w.render(next.object("STATS", "{value: sun}"))
	r.says("run: probe: new module and configuration in service")
	require.Equal(t, "sun", r.get("/").Header.Get("x-probe"))

	// A pin that cannot be had yet, until it is published.
	later := w.publish("probe", envoytest.OtherBytes(module, "later"))
	w.registryUp(false)
	w.render(later.object("STATS", "{value: sun}"))
	r.says(`run: .*/probe@sha256:\w+: pulling failed .*, and .*probe.wasm is another image .* the version before serves on`)
	w.registryUp(true)
	r.says("run: probe: new module in service: " + later.ref.Digest)

	// A build that no pin names.
	w.build("probe", envoytest.OtherBytes(module, "built"))
	r.says("run: probe: .*probe.wasm is new, but local pins " + later.ref.Digest)

	require.NoError(t, r.cmd.Process.Signal(syscall.SIGINT))
	require.Equal(t, 0, r.exit())
	r.leftNothing()
}

func TestRunEndsWithEnvoy(t *testing.T) {
	w := newWorkspace(t)
	w.render(w.build("probe", probe(t, "FAIL_RELOAD").Module).object("STATS", "{value: world}"))
	r := w.run()
	pids := r.envoys()
	if len(pids) == 0 {
		t.Log("no /proc here")
		return
	}
	require.Len(t, pids, 1)
	require.NoError(t, syscall.Kill(pids[0], syscall.SIGSEGV))
	require.Equal(t, 3, r.exit())
	r.says(`(?m)^run: envoy ended \(.*\)\. its last words: .*$`)
	r.leftNothing()
}

// Even a session that is killed takes its Envoy along.
func TestRunKilled(t *testing.T) {
	w := newWorkspace(t)
	w.render(w.build("probe", probe(t, "FAIL_RELOAD").Module).object("STATS", "{value: world}"))
	r := w.run()
	require.NoError(t, r.cmd.Process.Kill())
	r.exit()
	require.Eventually(t, func() bool { return len(r.envoys()) == 0 }, 5*time.Second, 10*time.Millisecond)
}

// workspace is a repository as run sees it, with a registry.
type workspace struct {
	t        *testing.T
	dir      string
	program  string
	registry string
	up       func(bool)
}

func newWorkspace(t *testing.T) *workspace {
	t.Helper()
	w := &workspace{t: t, dir: t.TempDir()}
	for _, dir := range []string{"build", "tmp", "manifests/overlays/local", "manifests/rendered"} {
		require.NoError(t, os.MkdirAll(filepath.Join(w.dir, dir), 0o755))
	}
	w.write("manifests/overlays/local/environment.yaml", "upstream: none\nistio: \"1.31\"\n")
	w.program = filepath.Join(w.dir, "wasmfleet")
	out, err := exec.Command("go", "build", "-o", w.program, "../../tools/wasmfleet").CombinedOutput()
	require.NoError(t, err, string(out))

	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	var mu sync.Mutex
	up := true
	w.up = func(now bool) {
		mu.Lock()
		defer mu.Unlock()
		up = now
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		up := up
		mu.Unlock()
		if !up {
			http.Error(rw, "down", http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.registry = strings.TrimPrefix(server.URL, "http://")
	return w
}

func (w *workspace) registryUp(up bool) { w.up(up) }

func (w *workspace) write(file, content string) {
	w.t.Helper()
	require.NoError(w.t, atomicfile.Write(filepath.Join(w.dir, file), []byte(content)))
}

// pinned is a filter's module with the reference that pins it.
type pinned struct {
	filter string
	ref    image.Ref
}

// build puts the module into build/.
func (w *workspace) build(filter string, module []byte) pinned {
	w.t.Helper()
	w.write("build/"+filter+".wasm", string(module))
	return w.image(filter, "127.0.0.1:1/"+filter, module, nil)
}

// publish puts the module into the registry.
func (w *workspace) publish(filter string, module []byte) pinned {
	w.t.Helper()
	return w.image(filter, w.registry+"/test/"+filter, module, func(repo name.Repository, img v1.Image, h v1.Hash) error {
		return remote.Write(repo.Digest(h.String()), img)
	})
}

func (w *workspace) image(filter, repo string, module []byte, push func(name.Repository, v1.Image, v1.Hash) error) pinned {
	w.t.Helper()
	f, err := catalog.Find("testdata", filter)
	require.NoError(w.t, err)
	img, err := image.Build(module, f, image.Artifact)
	require.NoError(w.t, err)
	digest, err := img.Digest()
	require.NoError(w.t, err)
	if push != nil {
		parsed, err := name.NewRepository(repo)
		require.NoError(w.t, err)
		require.NoError(w.t, push(parsed, img, digest))
	}
	return pinned{filter, image.Ref{Repo: repo, Digest: digest.String()}}
}

// object is the rendered WasmPlugin.
func (i pinned) object(phase, config string) [2]string {
	return [2]string{i.filter + ".yaml", fmt.Sprintf(`apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata:
  name: %s
  namespace: test
spec:
  url: oci://%s
  phase: %s
  failStrategy: FAIL_RELOAD
  pluginName: %[1]s
  pluginConfig: %[4]s
`, i.filter, i.ref, phase, config)}
}

// render replaces the rendered folder, as tools/render does.
func (w *workspace) render(objects ...[2]string) {
	w.t.Helper()
	files := map[string][]byte{}
	for _, o := range objects {
		files[o[0]] = []byte(o[1])
	}
	require.NoError(w.t, atomicfile.WriteDir(filepath.Join(w.dir, "manifests/rendered/local"), files))
}

// edit changes a rendered file in place, as an editor does.
func (w *workspace) edit(filter, from, to string) {
	w.t.Helper()
	file := filepath.Join(w.dir, "manifests/rendered/local", filter+".yaml")
	data, err := os.ReadFile(file)
	require.NoError(w.t, err)
	require.Contains(w.t, string(data), from)
	require.NoError(w.t, os.WriteFile(file, bytes.Replace(data, []byte(from), []byte(to), 1), 0o644))
}

// session is a running `run local`.
type session struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	tmp    string
	ended  chan struct{}
	mu     sync.Mutex
	stderr strings.Builder
}

func (w *workspace) run() *session {
	w.t.Helper()
	filters, err := filepath.Abs("testdata")
	require.NoError(w.t, err)
	envoy := findEnvoy(w.t)
	r := &session{t: w.t, tmp: filepath.Join(w.dir, "tmp"), ended: make(chan struct{})}
	r.cmd = exec.Command(w.program, "run", "--filters", filters, "local")
	r.cmd.Dir = w.dir
	r.cmd.Env = append(os.Environ(), "ENVOY="+envoy, "TMPDIR="+r.tmp)
	r.cmd.Stderr = r
	stdout, err := r.cmd.StdoutPipe()
	require.NoError(w.t, err)
	begin := time.Now()
	require.NoError(w.t, r.cmd.Start())
	w.t.Cleanup(func() {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		<-r.ended
		if w.t.Failed() {
			w.t.Logf("run said:\n%s", r.said())
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	go func() {
		_ = r.cmd.Wait()
		close(r.ended)
	}()
	require.NoError(w.t, err, "run printed no URL: %s", r.said())
	w.t.Logf("serving after %s", time.Since(begin))
	require.Regexp(w.t, `^http://127\.0\.0\.1:\d+\n$`, line)
	r.url = strings.TrimSpace(line)
	return r
}

// Write implements io.Writer.
func (r *session) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.Write(b)
}

func (r *session) said() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stderr.String()
}

// says waits until stderr matches.
func (r *session) says(pattern string) {
	r.t.Helper()
	re := regexp.MustCompile(pattern)
	begin := time.Now()
	require.Eventually(r.t, func() bool { return re.MatchString(r.said()) }, 15*time.Second, 5*time.Millisecond, "not said: %s", pattern)
	r.t.Logf("said after %s: %s", time.Since(begin), pattern)
}

func (r *session) get(path string) envoytest.Response {
	r.t.Helper()
	got, err := envoytest.Get(r.t.Context(), r.url+path)
	require.NoError(r.t, err)
	return got
}

// exit waits for the end and returns the exit code.
func (r *session) exit() int {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(15 * time.Second):
		require.Fail(r.t, "run does not end")
	}
	return r.cmd.ProcessState.ExitCode()
}

// envoys are the processes that run with files of this session; none where there is no /proc.
func (r *session) envoys() (pids []int) {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(r.t, err)
	for _, file := range files {
		if cmdline, err := os.ReadFile(file); err == nil && bytes.Contains(cmdline, []byte(r.tmp)) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			require.NoError(r.t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// leftNothing wants no process and no file of the session.
func (r *session) leftNothing() {
	r.t.Helper()
	require.Empty(r.t, r.envoys())
	left, err := os.ReadDir(r.tmp)
	require.NoError(r.t, err)
	require.Empty(r.t, left)
	_, err = envoytest.Get(r.t.Context(), r.url)
	require.ErrorIs(r.t, err, syscall.ECONNREFUSED)
}
