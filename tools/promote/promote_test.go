package promote

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/scripttest"
	"github.com/wasmfleet/wasmfleet/tools/render"
)

func TestMain(m *testing.M) { scripttest.Main(m, Command(), render.Command()) }

// Every story starts from the manifests of testdata/manifests.txtar.
func TestScripts(t *testing.T) {
	scripttest.Run(t, testscript.Params{
		Setup: func(e *testscript.Env) error { return extract(e.WorkDir) },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"git": func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(ts.Exec("git", args...)) },
		},
	})
}

// extract writes the manifests that the tests start from.
func extract(dir string) error {
	archive, err := txtar.ParseFile("testdata/manifests.txtar")
	if err != nil {
		return err
	}
	for _, f := range archive.Files {
		file := filepath.Join(dir, f.Name)
		if _, err := os.Stat(file); err == nil {
			continue // the story has its own
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, f.Data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// ref is a reference of the demo filter: a digest of one repeated digit.
func ref(digit int) string {
	return "ghcr.io/team/demo:v" + fmt.Sprint(digit) + "@sha256:" + strings.Repeat(fmt.Sprint(digit), 64)
}

// tool is a verb, to be run in dir as a process of its own.
func tool(dir string, args ...string) *exec.Cmd {
	cmd := scripttest.Command(args...)
	cmd.Dir = dir
	return cmd
}

// project is a folder with the manifests, and with files of references named refs1 … refsN.
func project(t *testing.T, n int) string {
	dir := t.TempDir()
	require.NoError(t, extract(dir))
	for i := 1; i <= n; i++ {
		require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprint("refs", i)), []byte(ref(i)+"\n"), 0o644))
	}
	return dir
}

// snapshot is every file of the manifests and its bytes.
func snapshot(t *testing.T, dir string) map[string]string {
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "manifests"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = string(data)
		return err
	}))
	return files
}

// Whenever a promote is killed, pins and rendered files are each old or new and whole. Of new pins beside old rendered files
// `render --check` tells, and render makes them agree.
func TestKilled(t *testing.T) {
	const kills = 100
	dir := project(t, 2)
	var took time.Duration
	states := make([]map[string]string, 2)
	for i := range states {
		start := time.Now()
		out, err := tool(dir, "promote", "--refs", fmt.Sprint("refs", i+1), "--to", "dev").CombinedOutput()
		require.NoError(t, err, string(out))
		took = time.Since(start)
		states[i] = snapshot(t, dir)
	}
	died, between, latest := 0, 0, took
	for i := range kills {
		cmd := tool(dir, "promote", "--refs", fmt.Sprint("refs", 1+i%2), "--to", "dev")
		require.NoError(t, cmd.Start())
		time.Sleep(rand.N(latest))
		_ = cmd.Process.Kill()
		// The machine is now slow, now fast: the kills stay where the work is.
		if cmd.Wait() != nil {
			died++
			latest += latest / 20
		} else {
			latest -= latest / 10
		}
		now := snapshot(t, dir)
		agree := fmt.Sprint(now) == fmt.Sprint(states[0]) || fmt.Sprint(now) == fmt.Sprint(states[1])
		for file, content := range now {
			if strings.Contains(file, "/.") {
				continue // what the next one removes
			}
			require.Contains(t, []string{states[0][file], states[1][file]}, content, file)
		}
		check := tool(dir, "render", "--check", "dev")
		out, _ := check.CombinedOutput()
		if code := check.ProcessState.ExitCode(); !agree && code == 1 {
			between++
			require.Contains(t, string(out), "is stale")
		}
		out, err := tool(dir, "render", "dev").CombinedOutput()
		require.NoError(t, err, string(out))
		require.Contains(t, []string{fmt.Sprint(states[0]), fmt.Sprint(states[1])}, fmt.Sprint(snapshot(t, dir)), "render makes them agree")
	}
	t.Logf("of %d, %d were killed before their end, %d between pins and rendered files", kills, died, between)
	require.NotZero(t, died)
}

// A promote that was killed after its last step has left the old files beside the new ones: render removes them, though nothing else is
// to be done.
func TestKilledAtTheEnd(t *testing.T) {
	dir := project(t, 1)
	out, err := tool(dir, "promote", "--refs", "refs1", "--to", "dev").CombinedOutput()
	require.NoError(t, err, string(out))
	before := snapshot(t, dir)
	rendered := filepath.Join(dir, "manifests", "rendered")
	require.NoError(t, os.CopyFS(filepath.Join(rendered, ".dev-123"), os.DirFS(filepath.Join(rendered, "dev"))))
	require.NotEqual(t, before, snapshot(t, dir))
	out, err = tool(dir, "render", "dev").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Empty(t, string(out))
	require.Equal(t, before, snapshot(t, dir))
}

// Promotes at the same time come one after the other: each says what it changed, and the last one's state is complete.
func TestConcurrent(t *testing.T) {
	const n = 8
	dir := project(t, n)
	var all sync.WaitGroup
	for i := 1; i <= n; i++ {
		all.Go(func() {
			out, err := tool(dir, "promote", "--refs", fmt.Sprint("refs", i), "--to", "dev").CombinedOutput()
			if err != nil || !strings.Contains(string(out), ref(i)) {
				t.Errorf("promote %d: %v: %s", i, err, out)
			}
		})
	}
	all.Wait()
	out, err := tool(dir, "render", "--check", "dev").CombinedOutput()
	require.NoError(t, err, string(out))
}

// A promote waits for another one, says so, and gives up with a remedy.
func TestWaits(t *testing.T) {
	dir := project(t, 1)
	unlock, err := manifests.Lock(t.Context(), filepath.Join(dir, "manifests"), 0, io.Discard)
	require.NoError(t, err)
	before := snapshot(t, dir)

	cmd := tool(dir, "promote", "--refs", "refs1", "--to", "dev", "--wait", "50ms")
	out, _ := cmd.CombinedOutput()
	require.Equal(t, 3, cmd.ProcessState.ExitCode())
	require.Equal(t, `waiting for another command that writes to manifests
promote: another command writes to manifests. nothing was written; try again, or wait longer with --wait
`, string(out))
	require.Equal(t, before, snapshot(t, dir))

	var text bytes.Buffer
	cmd = tool(dir, "promote", "--refs", "refs1", "--to", "dev")
	cmd.Stdout, cmd.Stderr = &text, &text
	require.NoError(t, cmd.Start())
	time.Sleep(100 * time.Millisecond)
	unlock()
	require.NoError(t, cmd.Wait(), text.String())
	require.NotEqual(t, before, snapshot(t, dir))
}

// Pins that somebody changes while promote works are not lost: promote gives way.
func TestSomebodyEdits(t *testing.T) {
	dir := filepath.Join(project(t, 1), "manifests")
	env, err := manifests.Load(dir, "dev")
	require.NoError(t, err)
	next, err := env.WithPins(manifests.Pins{"demo": {Repo: "ghcr.io/team/demo", Tag: "v1", Digest: "sha256:" + strings.Repeat("1", 64)}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(env.PinsFile(), []byte("# edited\n"), 0o644))
	require.ErrorContains(t, next.Save(), "changed while this command worked. nothing was written; run it again")
	content, err := os.ReadFile(env.PinsFile())
	require.NoError(t, err)
	require.Equal(t, "# edited\n", string(content))
}

// --verify asks the registry for each new pin, by its digest.
func TestVerify(t *testing.T) {
	real := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/private/") {
			http.Error(w, `{"errors":[{"code":"DENIED"}]}`, http.StatusForbidden)
			return
		}
		real.ServeHTTP(w, r)
	}))
	defer s.Close()
	host := strings.TrimPrefix(s.URL, "http://")
	module, err := os.ReadFile("../../internal/wasmfile/testdata/lint/ok.wasm")
	require.NoError(t, err)
	img, err := image.Build(module, catalog.Filter{Name: "demo"}, image.Artifact)
	require.NoError(t, err)
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})
	digest := push(t, host+"/team/demo:v1", img, nil)
	indexed := push(t, host+"/index/demo:v1", nil, index)
	nobody := "127.0.0.1:1"

	for name, c := range map[string]struct {
		ref  string
		code int
		want string
	}{
		"there":    {host + "/team/demo:v1@" + digest, 0, "dev: demo: "},
		"absent":   {host + "/team/demo:v1@sha256:" + strings.Repeat("0", 64), 1, "is not in its registry. publish it, or copy it there by digest. nothing was written"},
		"an index": {host + "/index/demo:v1@" + indexed, 1, "is an image index: Istio compares the digest of the image inside. pin a single manifest"},
		"denied":   {host + "/private/demo:v1@" + digest, 3, "nothing was written; log in with docker login, or try again"},
		"nobody":   {nobody + "/team/demo:v1@" + digest, 3, "verifying demo: fetching " + nobody},
	} {
		t.Run(name, func(t *testing.T) {
			dir := project(t, 0)
			before := snapshot(t, dir)
			require.NoError(t, os.WriteFile(filepath.Join(dir, "refs"), []byte(c.ref), 0o644))
			cmd := tool(dir, "promote", "--refs", "refs", "--to", "dev", "--verify")
			cmd.Env = append(cmd.Env, "DOCKER_CONFIG="+dir)
			out, _ := cmd.CombinedOutput()
			require.Equal(t, c.code, cmd.ProcessState.ExitCode(), string(out))
			require.Contains(t, string(out), c.want)
			if c.code == 0 {
				require.NotEqual(t, before, snapshot(t, dir))
			} else {
				require.Equal(t, before, snapshot(t, dir))
			}
		})
	}
}

func push(t *testing.T, to string, image v1.Image, index v1.ImageIndex) string {
	tag, err := name.NewTag(to)
	require.NoError(t, err)
	var digest v1.Hash
	if index != nil {
		require.NoError(t, remote.WriteIndex(tag, index))
		digest, err = index.Digest()
	} else {
		require.NoError(t, remote.Write(tag, image))
		digest, err = image.Digest()
	}
	require.NoError(t, err)
	return digest.String()
}
