package atomicfile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Where folders cannot be exchanged the result is the same.
func TestReplaceEach(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	write("same", "same")
	write("changed", "old")
	write("gone", "gone")
	write("folder/gone", "gone")
	write(".tmp-123", "what a killed one has left")
	before, err := os.Stat(filepath.Join(dir, "same"))
	require.NoError(t, err)
	want := map[string][]byte{"same": []byte("same"), "changed": []byte("new"), "other/new": []byte("new")}
	require.NoError(t, replaceEach(dir, want))
	got := map[string][]byte{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		require.NoError(t, err)
		require.NotEqual(t, "folder", e.Name(), "an empty folder is left")
		if e.Type().IsRegular() {
			rel, _ := filepath.Rel(dir, path)
			got[rel], err = os.ReadFile(path)
		}
		return err
	}))
	require.Equal(t, want, got)
	after, err := os.Stat(filepath.Join(dir, "same"))
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "what does not change is not written")
}

// What cannot be written whole changes nothing: here a folder is in the way of the second file.
func TestReplaceEachFailsBeforeItChangesAnything(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a"), []byte("old"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b"), []byte("a file"), 0o644))
	require.Error(t, replaceEach(dir, map[string][]byte{"a": []byte("new"), "b/c": []byte("new")}))
	got, err := os.ReadFile(filepath.Join(dir, "a"))
	require.NoError(t, err)
	require.Equal(t, "old", string(got))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing is left behind")
}
