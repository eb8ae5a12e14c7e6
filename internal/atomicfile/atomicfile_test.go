package atomicfile_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
)

func entries(t *testing.T, dir string) []string {
	list, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "f")
	for _, content := range []string{"one", "two"} {
		require.NoError(t, atomicfile.Write(file, []byte(content)))
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, content, string(got))
		require.Equal(t, []string{"f"}, entries(t, dir))
	}
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o644), info.Mode())
}

func TestWriteFails(t *testing.T) {
	dir := t.TempDir()
	require.Error(t, atomicfile.Write(filepath.Join(dir, "no", "f"), nil))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "f"), 0o755))
	require.Error(t, atomicfile.Write(filepath.Join(dir, "f"), nil), "a folder is in the way")
	require.Equal(t, []string{"f"}, entries(t, dir), "nothing is left behind")
}

func TestWriteDir(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "dir")
	for _, name := range []string{"first", "second", "sub/third"} {
		require.NoError(t, os.Mkdir(filepath.Join(root, ".dir-1234"), 0o755), "what a killed one has left")
		require.NoError(t, atomicfile.WriteDir(dir, map[string][]byte{name: []byte(name)}))
		got, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, name, string(got))
		require.Len(t, entries(t, dir), 1)
		require.Equal(t, []string{"dir"}, entries(t, root))
	}
}

// A link to the folder stays, and the folder that it leads to is written.
func TestWriteDirThroughALink(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(elsewhere, "real"), 0o755))
	require.NoError(t, os.Symlink(filepath.Join(elsewhere, "real"), filepath.Join(root, "dir")))
	require.NoError(t, atomicfile.WriteDir(filepath.Join(root, "dir"), map[string][]byte{"f": []byte("x")}))
	require.Equal(t, []string{"f"}, entries(t, filepath.Join(elsewhere, "real")))
	info, err := os.Lstat(filepath.Join(root, "dir"))
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeSymlink)
}
