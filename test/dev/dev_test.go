//go:build envoy

// Package dev tests the verb for authors as one uses it: saves, failures and the playground, with a real Envoy and a real browser.
package dev

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/test/clone"
)

const root = "../.."

// patience is for what takes a build on a busy machine.
const patience = time.Minute

// running is a `wasmfleet dev` in a clone.
type running struct {
	t         *testing.T
	dir       string // the clone
	url, page string

	mu  sync.Mutex
	log bytes.Buffer
}

// start runs dev with the filter one of the fleet, whose source is testdata/faults.go.txt.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	d := &running{t: t, dir: clone.Tree(t, root)}
	clone.Programs(t, root, d.dir)
	d.sh(`find filters -mindepth 1 -maxdepth 1 ! -name internal -exec rm -r {} +
rm -rf manifests/argocd manifests/base manifests/overlays manifests/rendered
cp -R test/clone/testdata/fleet/. .
cp test/dev/testdata/faults.go.txt filters/one/main.go
mkdir filters/one/examples
cp test/dev/testdata/example.yaml filters/one/examples/drop.yaml
cp test/dev/testdata/config.schema.json filters/one/
git add -A && git -c user.name=test -c user.email=test@localhost commit -qm one`)
	cmd := exec.Command("bin/wasmfleet", append([]string{"dev", "one"}, args...)...)
	cmd.Dir = d.dir
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = d
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
		require.NoError(t, cmd.Wait(), d.said())
		if t.Failed() {
			t.Log(d.said())
		}
	})
	lines := bufio.NewReader(stdout)
	for _, into := range []*string{&d.url, &d.page} {
		line, err := lines.ReadString('\n')
		require.NoError(t, err, d.said())
		*into = strings.TrimSpace(line)
	}
	return d
}

// Write implements io.Writer: the program's stderr.
func (d *running) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(p)
}

func (d *running) said() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// awaits returns when dev says the text, in what it says after the mark.
func (d *running) awaits(mark int, text string) {
	d.t.Helper()
	require.Eventually(d.t, func() bool { return strings.Contains(d.said()[mark:], text) }, patience, 20*time.Millisecond, "dev does not say %q:\n%s", text, lazy(d.said))
}

type lazy func() string

// String implements fmt.Stringer: the text is that of the time when the test fails.
func (l lazy) String() string { return l() }

func (d *running) sh(script string) string {
	d.t.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = d.dir
	out, err := cmd.CombinedOutput()
	require.NoError(d.t, err, string(out))
	return string(out)
}

// edit replaces a text in a file, as an editor saves it.
func (d *running) edit(file, old, with string) (mark int) {
	d.t.Helper()
	mark = len(d.said())
	path := filepath.Join(d.dir, file)
	content, err := os.ReadFile(path)
	require.NoError(d.t, err)
	require.Contains(d.t, string(content), old)
	require.NoError(d.t, os.WriteFile(path+"~", []byte(strings.ReplaceAll(string(content), old, with)), 0o644))
	require.NoError(d.t, os.Rename(path+"~", path))
	return mark
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (d *running) get(ctx context.Context, path string) (status int, one string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+path, nil)
	require.NoError(d.t, err)
	resp, err := client.Do(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, resp.Header.Get("X-One")
}

// load sends requests until it is asked how many failed.
func (d *running) load() (failed func() int) {
	stop, done := make(chan struct{}), make(chan struct{})
	sent, bad := 0, 0
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			sent++
			if status, one := d.get(d.t.Context(), "/"); status != 200 || one == "" {
				bad++
			}
		}
	}()
	return func() int {
		close(stop)
		<-done
		require.Greater(d.t, sent, 10)
		return bad
	}
}

// A save gives another answer, what does not build is said with every place and leaves the one before, and git sees nothing.
func TestSaves(t *testing.T) {
	d := start(t)
	status, one := d.get(t.Context(), "/")
	require.Equal(t, 200, status)
	require.Equal(t, "here", one)

	failed := d.load()
	mark := d.edit("filters/one/main.go", `"here"`, `"there"`)
	d.awaits(mark, "one: in service ")
	require.Zero(t, failed(), "requests that failed while the new version came")
	_, one = d.get(t.Context(), "/")
	require.Equal(t, "there", one)
	require.Regexp(t, `in service \d+\.\d\d s after it was saved \(build \d+\.\d\d s, into Envoy \d+\.\d\d s\)`, d.said()[mark:])

	mark = d.edit("filters/one/main.go", "var turns int", "var turns int = \"none\"\nvar other string = 1")
	d.awaits(mark, "one does not build. the version before serves on")
	require.Regexp(t, `(?s)filters/one/main\.go:31:\d+: .*filters/one/main\.go:32:\d+: `, d.said()[mark:], "all of them")
	_, one = d.get(t.Context(), "/")
	require.Equal(t, "there", one)

	mark = d.edit("filters/one/main.go", "var turns int = \"none\"\nvar other string = 1", "var turns int")
	d.awaits(mark, "one: in service ")

	mark = d.edit("manifests/base/one/wasmplugin.yaml", "v: base", "v: refuse")
	d.awaits(mark, "one: refused: one: v: want another. the version before serves on")
	mark = d.edit("manifests/base/one/wasmplugin.yaml", "v: refuse", "v: [")
	d.awaits(mark, "manifests/base/one/wasmplugin.yaml")
	_, one = d.get(t.Context(), "/")
	require.Equal(t, "there", one)
	mark = d.edit("manifests/base/one/wasmplugin.yaml", "v: [", "v: base")
	d.awaits(mark, "one: in service ")
	mark = d.edit("filters/one/main.go", `"there"`, `"here"`)
	d.awaits(mark, "one: in service ")
	require.Empty(t, d.sh("git status --porcelain"))
}

// A failure is said with the filter, its callback, its text, its line and the request.
func TestFailures(t *testing.T) {
	d := start(t)
	line := func(text string) string {
		return strings.TrimSpace(d.sh("grep -nF '" + text + "' filters/one/main.go | cut -d: -f1"))
	}
	for _, tc := range []struct{ path, text string }{
		{"/panic", "panic: boom\ndev:   at filters/one/main.go:" + line(`panic("boom")`) + "\n"},
		// LLVM joins the ends of such checks, so that no line is known for them, or that of the function.
		{"/index", "panic: runtime error: index out of range\n"},
	} {
		mark := len(d.said())
		// Envoy waits for a second before it starts a VM anew that has trapped, and answers 503 until then.
		require.Eventually(t, func() bool {
			status, _ := d.get(t.Context(), tc.path)
			return status == 503 && strings.Contains(d.said()[mark:], "request: GET "+tc.path)
		}, patience, 300*time.Millisecond)
		require.Contains(t, d.said()[mark:], "dev: one: trap in OnHttpRequestHeaders: "+tc.text)
	}
	require.Contains(t, d.said(), "dev: one: info: about to fail")

	require.Eventually(t, func() bool {
		for range 10 {
			if status, _ := d.get(t.Context(), "/"); status != 200 {
				return false
			}
		}
		return true
	}, patience, 300*time.Millisecond, "the VMs of all workers are back")
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	mark := len(d.said())
	go d.get(ctx, "/pause")
	d.awaits(mark, "one: GET /pause waits in this filter for")
	require.NotContains(t, d.said()[mark:], "hangs")

	go d.get(ctx, "/loop")
	d.awaits(mark, "one: GET /loop hangs: OnHttpRequestHeaders does not return")
	mark = d.edit("filters/one/main.go", "for turns >= 0 {", "for turns > 1 {")
	d.awaits(mark, "a worker of Envoy hangs in one, so this Envoy is replaced")
	d.awaits(mark, "one: in service ")
	for range 8 { // each worker
		status, one := d.get(t.Context(), "/loop")
		require.Equal(t, 200, status)
		require.Equal(t, "here", one)
	}
}
