package envoy

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
)

// probe is testdata/probe as make build builds a filter.
func probe(t *testing.T, failStrategy string) sandbox.Filter {
	t.Helper()
	module, _ := fixture(t, "probe")
	f := sandbox.Filter{Plugin: plugin(t, "probe", "{}"), Module: module}
	f.Plugin.Spec.FailStrategy = failStrategies[failStrategy]
	return f
}

// fixture is the filter in testdata/NAME as make build builds one, in a repository of its own; raw is what TinyGo made of it,
// with all that it exports.
func fixture(t *testing.T, name string) (module, raw []byte) {
	t.Helper()
	dir := t.TempDir()
	for _, file := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), data, 0o644))
	}
	require.NoError(t, os.CopyFS(filepath.Join(dir, "filters", name), os.DirFS(filepath.Join("testdata", name))))
	if _, err := os.Stat(filepath.Join("testdata", name, "kit")); err == nil { // a module of somebody else's
		edit := exec.Command("go", "mod", "edit", "-require=example.org/kit@v0.0.0", "-replace=example.org/kit=./filters/"+name+"/kit")
		edit.Dir = dir
		out, err := edit.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	metadata := "name: " + name + "\ntitle: A fixture\ndescription: Used by a test.\nphases: [UNSPECIFIED_PHASE]\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "filters", name, "plugin.yaml"), []byte(metadata), 0o644))
	build := exec.Command(filepath.Join(root, "bin/filterbuild"), "-root", dir, "-tools", filepath.Join(root, ".tools"), "build", name)
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	module, err = os.ReadFile(filepath.Join(dir, "build", name+".wasm"))
	require.NoError(t, err)
	raw, err = os.ReadFile(filepath.Join(dir, "build", name+".raw"))
	require.NoError(t, err)
	return module, raw
}
