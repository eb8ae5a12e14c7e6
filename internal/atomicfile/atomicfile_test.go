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

func TestReplaceDir(t *testing.T) {
	root := t.TempDir()
	dir, next := filepath.Join(root, "dir"), filepath.Join(root, "next")
	for _, name := range []string{"first", "second", "third"} {
		require.NoError(t, os.Mkdir(next, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(next, name), nil, 0o644))
		require.NoError(t, atomicfile.ReplaceDir(dir, next))
		require.Equal(t, []string{name}, entries(t, dir))
		require.NoError(t, os.RemoveAll(next))
	}
	require.Equal(t, []string{"dir"}, entries(t, root))
	require.Error(t, atomicfile.ReplaceDir(dir, next), "there is no next")
	require.Equal(t, []string{"third"}, entries(t, dir))
}
