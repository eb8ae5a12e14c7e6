package envoytest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
)

// Filter is build/NAME.wasm as a WasmPlugin of that name, with a configuration in YAML and FAIL_RELOAD.
func Filter(t *testing.T, name, config string) sandbox.Filter {
	t.Helper()
	return sandbox.Filter{Plugin: Plugin(t, name, config), Module: Module(t, name)}
}

// Module is build/NAME.wasm. One that is older than its sources fails the test.
func Module(t *testing.T, name string) []byte {
	t.Helper()
	root := Root(t)
	file := filepath.Join(root, "build", name+".wasm")
	info, err := os.Stat(file)
	require.NoError(t, err, `run "make build"`)
	if newer := newerSource(t, filepath.Join(root, "filters"), name, info.ModTime()); newer != "" {
		t.Fatalf(`%s is older than %s. run "make build"`, file, newer)
	}
	module, err := os.ReadFile(file)
	require.NoError(t, err)
	return module
}

// newerSource is a source of the filter that was changed after its module was built; empty when there is none.
func newerSource(t *testing.T, filters, name string, built time.Time) string {
	t.Helper()
	for _, pattern := range []string{name + "/*.go", "internal/*/*.go"} {
		files, err := filepath.Glob(filepath.Join(filters, pattern))
		require.NoError(t, err)
		for _, file := range files {
			info, err := os.Stat(file)
			require.NoError(t, err)
			if !strings.HasSuffix(file, "_test.go") && info.ModTime().After(built) {
				return file
			}
		}
	}
	return ""
}

// Root is the folder of the repository: the nearest one above the test that has a go.mod.
func Root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		require.NotEqual(t, dir, parent, "no go.mod in a folder above the test")
		dir = parent
	}
}

// OtherBytes is a module with the same code and another digest: a custom section is appended.
func OtherBytes(module []byte, name string) []byte {
	return append(append(module[:len(module):len(module)], 0, byte(len(name)+2), byte(len(name))), name+"\x00"...)
}
