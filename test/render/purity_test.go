package render

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program builds render, as a user runs it.
func program(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "render")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

// copyTree is the repository's manifests and filters in a folder of their own.
func copyTree(t *testing.T) string {
	dir := t.TempDir()
	for _, folder := range []string{"manifests", "filters"} {
		require.NoError(t, os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join(repository, folder))))
	}
	return dir
}

// files are the contents of a folder, by path.
func files(t *testing.T, dir string) map[string]string {
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all[rel] = string(content)
		return err
	}))
	return all
}

// namespaces runs a command in new namespaces, which root may make and sudo may become.
func namespaces(flags string, args ...string) *exec.Cmd {
	command := append([]string{"unshare", flags}, args...)
	if os.Geteuid() != 0 {
		command = append([]string{"sudo", "-n"}, command...)
	}
	return exec.Command(command[0], command[1:]...)
}

// No network, home, time zone, umask, user, folder or variable decides a byte.
func TestPure(t *testing.T) {
	render := program(t)
	here := copyTree(t)
	require.NoError(t, os.RemoveAll(filepath.Join(here, "manifests/rendered")))
	cmd := exec.Command(render)
	cmd.Dir = here
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))

	there := copyTree(t)
	require.NoError(t, os.RemoveAll(filepath.Join(there, "manifests/rendered")))
	require.NoError(t, os.Chmod(filepath.Dir(render), 0o755))
	for _, dir := range []string{filepath.Dir(there), there} {
		require.NoError(t, os.Chmod(dir, 0o777))
	}
	require.NoError(t, os.Chmod(filepath.Join(there, "manifests"), 0o777))
	// --net: no interface but a loopback that is down. setpriv: nobody.
	cmd = namespaces("--net", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
		"env", "-i", "HOME=/nonexistent", "TZ=Pacific/Chatham", "LC_ALL=tr_TR.UTF-8", "KUSTOMIZE_PLUGIN_HOME=/nonexistent",
		"HTTPS_PROXY=http://127.0.0.1:1", "GOMAXPROCS=1", "PATH=", "/bin/sh", "-c", `umask 077; cd "$0" && exec "$1"`, there, render)
	out, err = cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, files(t, filepath.Join(here, "manifests/rendered")), readAll(t, filepath.Join(there, "manifests/rendered")))
}

// readAll is files for what belongs to another user.
func readAll(t *testing.T, dir string) map[string]string {
	out, err := namespaces("--uts", "chmod", "-R", "a+rX", dir).CombinedOutput()
	require.NoError(t, err, string(out))
	return files(t, dir)
}

// Killed at any time, render leaves the old files or the new ones, and the next run cleans up.
func TestKilled(t *testing.T) {
	render := program(t)
	dir := copyTree(t)
	config, rendered := filepath.Join(dir, "manifests/overlays/dev/addheader-config.yaml"), filepath.Join(dir, "manifests/rendered/dev")
	text, err := os.ReadFile(config)
	require.NoError(t, err)
	run := func(kill time.Duration) {
		cmd := exec.Command(render, "dev")
		cmd.Dir = dir
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		require.NoError(t, cmd.Start())
		timer := time.AfterFunc(kill, func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && (!errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL) {
			require.NoError(t, err, out.String())
		}
	}
	start := time.Now()
	run(time.Minute)
	whole := time.Since(start)
	before := files(t, rendered)
	outcomes := map[string]int{}
	for i := range 200 {
		value := fmt.Sprintf("value: number %d", i)
		require.NoError(t, os.WriteFile(config, bytes.Replace(text, []byte("value: world"), []byte(value), 1), 0o644))
		run(time.Duration(rand.Int64N(int64(whole * 5 / 4))))
		after := files(t, rendered)
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
	require.Greater(t, outcomes["old"], 10, "killed too late to show anything")
	require.Greater(t, outcomes["new"], 10, "killed too early to show anything")
	run(time.Minute)
	left, err := filepath.Glob(filepath.Join(dir, "manifests/rendered/.*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// A full disk: one clear error, the old files, no leftovers.
func TestFullDisk(t *testing.T) {
	render := program(t)
	dir := copyTree(t)
	mount := t.TempDir()
	// What is left is one page: a folder, and not the files in it.
	script := `set -e
mount -t tmpfs -o size=2m tmpfs "$1"
cp -r "$2"/. "$1"
sed -i 's/value: .*/value: changed/' "$1/manifests/overlays/dev/addheader-config.yaml"
cat /dev/zero >"$1/fill" 2>/dev/null || true
truncate -s -4096 "$1/fill"
cd "$1"
code=0
"$0" dev || code=$?
echo "exit $code"
ls -A manifests/rendered
rm fill
diff -r "$2/manifests/rendered" manifests/rendered && echo same
"$0" dev
`
	out, err := namespaces("--mount", "sh", "-c", script, render, mount, dir).CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "no space left on device")
	require.Regexp(t, `(?m)^render: writing manifests/rendered/dev: `, string(out))
	require.Contains(t, string(out), "exit 3\ndev\nprod\nstaging\nsame\nchanged manifests/rendered/dev/", "the old files, and afterwards the new ones")
	require.Equal(t, 1, strings.Count(string(out), "no space left"), string(out))
}
