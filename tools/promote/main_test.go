package main

import (
	"bytes"
	"errors"
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
	"github.com/wasmfleet/wasmfleet/internal/filterimage"
	"github.com/wasmfleet/wasmfleet/internal/scripttest"
)

// bin holds promote and render side by side, as the Makefile builds them.
var bin string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "promote-test-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if out, err := exec.Command("go", "build", "-o", dir+"/", "../promote", "../render").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building promote and render: %v\n%s", err, out)
		return 1
	}
	bin = dir
	return m.Run()
}

// Every story starts from the manifests of testdata/manifests.txtar.
func TestScripts(t *testing.T) {
	named := func(name string) func(*testscript.TestScript, bool, []string) {
		return func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(ts.Exec(name, args...)) }
	}
	scripttest.Run(t, testscript.Params{
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+":"+e.Getenv("PATH"))
			e.Setenv("BIN", bin)
			return extract(e.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"promote": named("promote"), "render": named("render"), "git": named("git")},
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

// tool is one of the tools, to be run in dir.
func tool(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(bin, args[0]), args[1:]...)
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

// Whenever a promote is killed, the tree is the old one or the new one, whole, and the next promote cleans up.
func TestKilled(t *testing.T) {
	const kills = 100
	dir := project(t, 2)
	states := make([]map[string]string, 2)
	var took time.Duration
	for _, i := range []int{1, 2} {
		start := time.Now()
		out, err := tool(dir, "promote", "--refs", fmt.Sprint("refs", i), "--to", "dev").CombinedOutput()
		require.NoError(t, err, string(out))
		took = time.Since(start)
		states[i-1] = snapshot(t, dir)
	}
	at, moved, died := 1, 0, 0 // states[at] is in place
	for i := range kills {
		cmd := tool(dir, "promote", "--refs", fmt.Sprint("refs", 2-at), "--to", "dev")
		require.NoError(t, cmd.Start())
		time.Sleep(time.Duration(rand.Int64N(int64(took) * 5 / 4)))
		require.NoError(t, cmd.Process.Kill())
		if cmd.Wait() != nil {
			died++
		}
		switch now := snapshot(t, dir); {
		case fmt.Sprint(now) == fmt.Sprint(states[at]):
		case fmt.Sprint(now) == fmt.Sprint(states[1-at]):
			at, moved = 1-at, moved+1
		default:
			require.Equal(t, states[at], now, "neither the old tree nor the new one")
		}
		if i%5 == 0 { // at once: the render of the killed one may still run
			out, err := tool(dir, "promote", "--refs", fmt.Sprint("refs", 1+at), "--to", "dev").CombinedOutput()
			require.NoError(t, err, string(out))
			time.Sleep(took / 2)
			left, err := filepath.Glob(filepath.Join(dir, leftover))
			require.NoError(t, err)
			require.Empty(t, left)
		}
	}
	t.Logf("of %d, %d were killed before their end and %d had changed the tree", kills, died, moved)
	require.Greater(t, died, kills/4)
	out, err := tool(dir, "promote", "--refs", fmt.Sprint("refs", 2-at), "--to", "dev").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, states[1-at], snapshot(t, dir))
	left, err := filepath.Glob(filepath.Join(dir, leftover))
	require.NoError(t, err)
	require.Empty(t, left)
}

// A reader never sees pins of one state beside rendered files of the other. The folder is opened once: what is read below it
// belongs to one state.
func TestReadersSeeOneState(t *testing.T) {
	dir := project(t, 2)
	out, err := tool(dir, "promote", "--refs", "refs1", "--to", "dev").CombinedOutput()
	require.NoError(t, err, string(out))
	done := make(chan struct{})
	var reading sync.WaitGroup
	reads, seen := 0, map[string]bool{}
	reading.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			root, err := os.OpenRoot(filepath.Join(dir, "manifests"))
			if err != nil {
				t.Error(err)
				return
			}
			pins, err1 := root.ReadFile("overlays/dev/digests/kustomization.yaml")
			rendered, err2 := root.ReadFile("rendered/dev/extensions.istio.io_v1alpha1_wasmplugin_demo.yaml")
			_ = root.Close()
			if err1 != nil || err2 != nil {
				continue // an old tree on its way out
			}
			_, digest, _ := strings.Cut(string(pins), "digest: ")
			digest = strings.TrimSpace(digest)
			if !strings.Contains(string(rendered), "@"+digest) {
				t.Errorf("pins say %s, rendered is\n%s", digest, rendered)
			}
			reads++
			seen[digest] = true
		}
	})
	for i := range 20 {
		out, err := tool(dir, "promote", "--refs", fmt.Sprint("refs", 2-i%2), "--to", "dev").CombinedOutput()
		require.NoError(t, err, string(out))
	}
	close(done)
	reading.Wait()
	require.Greater(t, reads, 100)
	require.Len(t, seen, 2)
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
	holder, err := os.Open(dir)
	require.NoError(t, err)
	defer holder.Close()
	busy, err := tryLock(holder)
	require.NoError(t, err)
	require.False(t, busy)
	before := snapshot(t, dir)

	cmd := tool(dir, "promote", "--refs", "refs1", "--to", "dev", "--wait", "50ms")
	out, _ := cmd.CombinedOutput()
	require.Equal(t, 3, cmd.ProcessState.ExitCode())
	require.Equal(t, `promote: waiting for another promote on manifests
promote: another promote works on manifests. nothing was written; try again, or wait longer with --wait
`, string(out))
	require.Equal(t, before, snapshot(t, dir))

	var text bytes.Buffer
	cmd = tool(dir, "promote", "--refs", "refs1", "--to", "dev")
	cmd.Stdout, cmd.Stderr = &text, &text
	require.NoError(t, cmd.Start())
	time.Sleep(100 * time.Millisecond)
	holder.Close()
	require.NoError(t, cmd.Wait(), text.String())
	require.NotEqual(t, before, snapshot(t, dir))
}

// What somebody changes in the tree while promote works is not lost: promote gives way.
func TestSomebodyEdits(t *testing.T) {
	for name, edit := range map[string]func(dir string) error{
		"a new file": func(dir string) error { return os.WriteFile(filepath.Join(dir, "base", "new.yaml"), nil, 0o644) },
		"a file saved by rename": func(dir string) error {
			file := filepath.Join(dir, "base", "demo", "wasmplugin.yaml")
			if err := os.WriteFile(file+"~", []byte("edited"), 0o644); err != nil {
				return err
			}
			return os.Rename(file+"~", file)
		},
		"a file removed": func(dir string) error { return os.Remove(filepath.Join(dir, "base", "demo", "wasmplugin.yaml")) },
		"a file for a folder": func(dir string) error {
			demo := filepath.Join(dir, "base", "demo")
			if err := os.RemoveAll(demo); err != nil {
				return err
			}
			return os.WriteFile(demo, nil, 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(project(t, 1), "manifests")
			tree, err := openTree(t.Context(), dir, 0, io.Discard)
			require.NoError(t, err)
			defer tree.close()
			_, err = tree.copy()
			require.NoError(t, err)
			require.NoError(t, edit(dir))
			edited := snapshot(t, filepath.Dir(dir))
			require.ErrorContains(t, tree.replace(), "changed while promote worked. nothing was written; run promote again")
			require.Equal(t, edited, snapshot(t, filepath.Dir(dir)))
		})
	}
}

// Without render beside it, promote says where it belongs and writes nothing.
func TestWithoutRender(t *testing.T) {
	dir := project(t, 1)
	before := snapshot(t, dir)
	alone := filepath.Join(t.TempDir(), "promote")
	data, err := os.ReadFile(filepath.Join(bin, "promote"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(alone, data, 0o755))
	cmd := exec.Command(alone, "--refs", "refs1", "--to", "dev")
	cmd.Dir = dir
	out, _ := cmd.CombinedOutput()
	require.Equal(t, 3, cmd.ProcessState.ExitCode(), string(out))
	require.Contains(t, string(out), "build both into one folder")
	require.Equal(t, before, snapshot(t, dir))
}

// On a file system without hard links the copy is a copy.
func TestWithoutLinks(t *testing.T) {
	defer func() { link = os.Link }()
	link = func(string, string) error { return errors.ErrUnsupported }
	dir := filepath.Join(project(t, 1), "manifests")
	require.NoError(t, os.Symlink("../base/demo", filepath.Join(dir, "overlays", "link")))
	before := snapshotLinks(t, dir)
	tree, err := openTree(t.Context(), dir, 0, io.Discard)
	require.NoError(t, err)
	_, err = tree.copy()
	require.NoError(t, err)
	require.NoError(t, tree.replace())
	tree.close()
	require.Equal(t, before, snapshotLinks(t, dir))
}

// snapshotLinks is every path below dir with its mode, and what a link points to.
func snapshotLinks(t *testing.T, dir string) (paths []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		target, _ := os.Readlink(path)
		paths = append(paths, fmt.Sprint(path, info.Mode(), target))
		return err
	}))
	return paths
}

// While render works, an interrupt ends promote and leaves the tree as it was and nothing beside it; so does a render that fails.
func TestInterrupted(t *testing.T) {
	for name, c := range map[string]struct {
		render string
		signal os.Signal
		want   string
	}{
		"interrupted": {"#!/bin/sh\ntouch started\nexec sleep 60\n", os.Interrupt, "promote: context canceled\n"},
		"failed":      {"#!/bin/sh\ntouch started\necho 'render: disk full' >&2\nexit 3\n", nil, "promote: rendering dev: exit status 3: disk full\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, tools := project(t, 1), t.TempDir()
			before := snapshot(t, dir)
			data, err := os.ReadFile(filepath.Join(bin, "promote"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(tools, "promote"), data, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(tools, "render"), []byte(c.render), 0o755))
			cmd := exec.Command(filepath.Join(tools, "promote"), "--refs", "refs1", "--to", "dev")
			cmd.Dir = dir
			var text bytes.Buffer
			cmd.Stderr = &text
			require.NoError(t, cmd.Start())
			require.Eventually(t, func() bool {
				_, err := os.Stat(filepath.Join(dir, "started"))
				return err == nil
			}, 10*time.Second, 5*time.Millisecond)
			if c.signal != nil {
				require.NoError(t, cmd.Process.Signal(c.signal))
			}
			start := time.Now()
			require.Error(t, cmd.Wait())
			require.Less(t, time.Since(start), 30*time.Second, "it does not wait for render")
			require.Equal(t, 3, cmd.ProcessState.ExitCode())
			require.Equal(t, c.want, text.String())
			require.Equal(t, before, snapshot(t, dir))
			left, err := filepath.Glob(filepath.Join(dir, leftover))
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
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
	image, err := filterimage.Build(module, catalog.Filter{Name: "demo"}, filterimage.Artifact)
	require.NoError(t, err)
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: image})
	digest := push(t, host+"/team/demo:v1", image, nil)
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
			cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+dir)
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
