package plugintest

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/wazero"
)

func TestWithStart(t *testing.T) {
	t.Parallel()
	// One function without parameters, exported as _initialize and as f.
	module := []byte("\x00asm\x01\x00\x00\x00" +
		"\x01\x04\x01\x60\x00\x00" + // types
		"\x03\x02\x01\x00" + // functions
		"\x07\x13\x02\x0b_initialize\x00\x00\x01f\x00\x00" + // exports
		"\x0a\x04\x01\x02\x00\x0b") // code

	got, exports := withStart(module)
	require.Equal(t, map[string]bool{"_initialize": true, "f": true}, exports)

	runtime := wazero.NewRuntime(t.Context())
	compiled, err := runtime.CompileModule(t.Context(), got)
	require.NoError(t, err)
	require.Contains(t, compiled.ExportedFunctions(), "_start")
	require.Contains(t, compiled.ExportedFunctions(), "f")
}
