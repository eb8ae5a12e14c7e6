package main

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

func TestLint(t *testing.T) {
	var stdout, stderr bytes.Buffer
	lint := func(args ...string) int { return command().Main(append([]string{"lint"}, args...), &stdout, &stderr) }
	require.Equal(t, cli.ExitOK, lint("../../internal/wasmfile/testdata/lint/ok.wasm"))
	require.Regexp(t, `ok\.wasm \d+ bytes sha256:[0-9a-f]{64}\n$`, stdout.String())
	require.Equal(t, cli.ExitFindings, lint("../../internal/wasmfile/testdata/lint/start.wasm"))
	require.Contains(t, stderr.String(), "start.wasm: its start calls proc_exit(0)")
	require.Equal(t, cli.ExitUsage, lint())
}

// withoutExports drops exactly what it is told; what is left is a valid module with the same imports.
func TestWithoutExports(t *testing.T) {
	module, err := os.ReadFile("../../internal/wasmfile/testdata/lint/ok.wasm")
	require.NoError(t, err)
	before, err := wasmfile.Read(module)
	require.NoError(t, err)
	require.True(t, before.Has("_initialize"))

	require.Equal(t, module, withoutExports(module, nil))
	after, err := wasmfile.Read(withoutExports(module, map[string]bool{"_initialize": true, "unknown": true}))
	require.NoError(t, err)
	require.False(t, after.Has("_initialize"))
	require.Len(t, after.Exports, len(before.Exports)-1)
	require.Equal(t, before.Imports, after.Imports)
}
