package envoytest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
)

// Filter is build/NAME.wasm as a WasmPlugin of that name, with a configuration in YAML and FAIL_RELOAD.
func Filter(t *testing.T, name, config string) sandbox.Filter {
	t.Helper()
	return sandbox.Filter{Plugin: Plugin(t, name, config), Module: Module(t, name)}
}

// stale are the answers of filterbuild so far, by filter: it asks the toolchain, and a test may want a module many times.
var stale sync.Map

// Module is build/NAME.wasm. One that is not what its sources build fails the test.
func Module(t *testing.T, name string) []byte {
	t.Helper()
	root := Root(t)
	ask, _ := stale.LoadOrStore(name, sync.OnceValue(func() error {
		out, err := exec.Command(filepath.Join(root, "bin/filterbuild"), "-root", root, "-tools", filepath.Join(root, ".tools"), "stale", name).CombinedOutput()
		if err != nil {
			return fmt.Errorf("build/%s.wasm is not known to be what its sources build: %w. run \"make build\"\n%s", name, err, out)
		}
		return nil
	}))
	require.NoError(t, ask.(func() error)())
	module, err := os.ReadFile(filepath.Join(root, "build", name+".wasm"))
	require.NoError(t, err)
	return module
}

// Root is the folder of the repository: the nearest one above the test that has a go.mod and filters. (A module of tests has none.)
func Root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		_, module := os.Stat(filepath.Join(dir, "go.mod"))
		if _, err := os.Stat(filepath.Join(dir, "filters")); err == nil && module == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		require.NotEqual(t, dir, parent, "no go.mod and filters in a folder above the test")
		dir = parent
	}
}

// OtherBytes is a module with the same code and another digest: a custom section is appended.
func OtherBytes(module []byte, name string) []byte {
	return append(append(module[:len(module):len(module)], 0, byte(len(name)+2), byte(len(name))), name+"\x00"...)
}
