//go:build envoy

package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/test/clone"
)

// make builds bin/wasmfleet again when anything that it is made of changes, comes or goes, also what it embeds, and not otherwise;
// its stdout stays empty for the program's.
func TestProgramsAreFresh(t *testing.T) {
	dir := clone.Tree(t, root)
	clone.Programs(t, root, dir)
	program := filepath.Join(dir, "bin/wasmfleet")
	run := func(args ...string) (stdout string, err error) {
		cmd := exec.Command("make", append(args, "bin/wasmfleet")...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MFLAGS=", "MAKELEVEL=")
		out, err := cmd.Output()
		return string(out), err
	}
	fresh := func() bool { _, err := run("-q"); return err == nil }
	// later gives files times that tell them apart on every file system.
	tick := time.Now()
	later := func(name string) {
		tick = tick.Add(2 * time.Second)
		require.NoError(t, os.Chtimes(name, tick, tick))
	}
	later(program)
	require.True(t, fresh())

	list := exec.Command("go", "list", "-f", `{{range .EmbedFiles}}{{$.Dir}}/{{.}}{{"\n"}}{{end}}`, "./tools/...", "./internal/...")
	list.Dir = dir
	embedded, err := list.Output()
	require.NoError(t, err)
	require.NotEmpty(t, strings.Fields(string(embedded)))
	for name := range strings.FieldsSeq(string(embedded)) {
		later(name)
		require.False(t, fresh(), name)
		later(program)
	}

	folder := filepath.Join(dir, "tools/new")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "extra.go"), []byte("package newverb\n"), 0o644))
	later(folder)
	require.False(t, fresh(), "a file came")
	out, err := run("-s")
	require.NoError(t, err)
	require.Empty(t, out)
	later(program)
	require.NoError(t, os.Remove(filepath.Join(folder, "extra.go")))
	later(folder)
	require.False(t, fresh(), "a file went")
}
