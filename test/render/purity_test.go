//go:build envoy

package render

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// copyTree is the repository's manifests and filters in a folder of their own.
func copyTree(t *testing.T) string {
	dir := t.TempDir()
	for _, folder := range []string{"manifests", "filters"} {
		require.NoError(t, os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join(repository, folder))))
	}
	return dir
}

// No network, home, time zone, umask, user, folder or variable decides a byte.
func TestPure(t *testing.T) {
	here := copyTree(t)
	require.NoError(t, os.RemoveAll(filepath.Join(here, "manifests/rendered")))
	cmd := exec.Command(program, "render")
	cmd.Dir = here
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))

	there := copyTree(t)
	require.NoError(t, os.RemoveAll(filepath.Join(there, "manifests/rendered")))
	for _, dir := range []string{filepath.Dir(there), there} {
		require.NoError(t, os.Chmod(dir, 0o777))
	}
	require.NoError(t, os.Chmod(filepath.Join(there, "manifests"), 0o777))
	// --net: no interface but a loopback that is down. setpriv: nobody.
	cmd = namespaces("--net", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
		"env", "-i", "HOME=/nonexistent", "TZ=Pacific/Chatham", "LC_ALL=tr_TR.UTF-8", "KUSTOMIZE_PLUGIN_HOME=/nonexistent",
		"HTTPS_PROXY=http://127.0.0.1:1", "GOMAXPROCS=1", "PATH=", "/bin/sh", "-c", `umask 077; cd "$0" && exec "$1" render`, there, program)
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
