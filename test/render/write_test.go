//go:build envoy

package render

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const rendered = "manifests/rendered/home"

// Killed at any time, render leaves the old files or the new ones, and the next run cleans up.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, 3)
	run := func(kill time.Duration) (killed bool) {
		cmd := exec.Command(program, "render")
		cmd.Dir = dir
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		require.NoError(t, cmd.Start())
		timer := time.AfterFunc(kill, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		var exit *exec.ExitError
		err := cmd.Wait()
		if killed = errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL; !killed {
			require.NoError(t, err, out.String())
		}
		return killed
	}
	start := time.Now()
	require.False(t, run(time.Minute))
	latest := time.Since(start)
	before := files(t, filepath.Join(dir, rendered))
	outcomes := map[string]int{}
	for i := range 200 {
		value := fmt.Sprintf("number %d", i)
		write(t, filepath.Join(dir, "manifests/overlays/home/f0.yaml"), strings.Replace(patch("f0"), "value: x", "value: "+value, 1))
		// The machine is now slow, now fast: the kills stay where the work is.
		if run(rand.N(latest)) {
			latest += latest / 20
		} else {
			latest -= latest / 10
		}
		after := files(t, filepath.Join(dir, rendered))
		require.Len(t, after, len(before), "a mixture")
		changed := 0
		for name, content := range after {
			if content != before[name] {
				require.Contains(t, content, value)
				changed++
			}
		}
		require.LessOrEqual(t, changed, 1)
		outcomes[map[int]string{0: "old", 1: "new"}[changed]]++
		before = after
	}
	t.Log(outcomes)
	require.NotZero(t, outcomes["old"], "never killed in time")
	require.NotZero(t, outcomes["new"], "always killed")
	run(time.Minute)
	left, err := filepath.Glob(filepath.Join(dir, "manifests/rendered/.*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// Two at once wait for each other: the folder is complete, whatever both were doing.
func TestTwoAtOnce(t *testing.T) {
	const plugins, rounds = 60, 10
	dir := t.TempDir()
	tree(t, dir, plugins)
	for i := range rounds {
		write(t, filepath.Join(dir, "manifests/overlays/home/f0.yaml"), strings.Replace(patch("f0"), "value: x", fmt.Sprint("value: ", i), 1))
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				cmd := exec.Command(program, "render")
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
		both.Wait()
		require.Len(t, files(t, filepath.Join(dir, rendered)), plugins)
	}
}

// A full disk: one clear error, the old files, no leftovers.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, 3)
	// What is left is one page: a folder, and not the files in it.
	out := inNamespace(t, dir, `mount -t tmpfs -o size=2m tmpfs "$1"
cp -r "$2"/. "$1"
cd "$1"
"$0" render >/dev/null
cp -r manifests/rendered before
sed -i 's/value: .*/value: changed}}/' manifests/overlays/home/f0.yaml
cat /dev/zero >fill 2>/dev/null || true
truncate -s -4096 fill
code=0
"$0" render || code=$?
echo "exit $code"
ls -A manifests/rendered
rm fill
diff -r before manifests/rendered && echo same
"$0" render
`)
	require.Regexp(t, `(?m)^render: writing manifests/rendered/home: .*no space left on device$`, out)
	require.Contains(t, out, "exit 3\nhome\nsame\nchanged manifests/rendered/home/", "the old files, and afterwards the new ones")
	require.Equal(t, 1, strings.Count(out, "no space left"), out)
}

// Where two folders cannot be exchanged, a mount and the lower layer of an overlay, the files are replaced, and the folder is never
// empty.
func TestFoldersThatCannotBeExchanged(t *testing.T) {
	for name, mount := range map[string]string{
		"a mounted environment": `cp -r "$2"/. "$1" && cd "$1" && mkdir -p manifests/rendered/home && mount -t tmpfs tmpfs manifests/rendered/home`,
		"all of it mounted":     `cp -r "$2"/. "$1" && cd "$1" && mkdir -p manifests/rendered && mount -t tmpfs tmpfs manifests/rendered`,
		"the lower layer": `mkdir "$1/up" && mount -t tmpfs tmpfs "$1/up" && mkdir "$1/up/u" "$1/up/w" "$1/all"
(cd "$2" && "$0" render >/dev/null)
mount -t overlay -o "lowerdir=$2,upperdir=$1/up/u,workdir=$1/up/w" overlay "$1/all" && cd "$1/all"`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tree(t, dir, 3)
			out := inNamespace(t, dir, mount+`
"$0" render >/dev/null
echo "not ours" >manifests/rendered/home/extra.yaml
sed -i 's/value: .*/value: changed}}/' manifests/overlays/home/f0.yaml
"$0" render
grep -l 'value: changed' manifests/rendered/home/*
ls -A manifests/rendered/home manifests/rendered
"$0" render --check && echo fresh
`)
			file := func(n int) string { return fmt.Sprintf("extensions.istio.io_v1alpha1_wasmplugin_f%d.yaml", n) }
			require.Equal(t, strings.Join([]string{
				"changed " + rendered + "/" + file(0), "removed " + rendered + "/extra.yaml",
				rendered + "/" + file(0),
				"manifests/rendered:", "home", "", rendered + ":", file(0), file(1), file(2),
				"fresh", "",
			}, "\n"), out)
		})
	}
}

// inNamespace runs a script with mounts of its own: $0 is wasmfleet, $1 an empty folder, $2 the tree.
func inNamespace(t *testing.T, dir, script string) string {
	t.Helper()
	out, err := namespaces("--mount", "sh", "-ec", script, program, t.TempDir(), dir).CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}
