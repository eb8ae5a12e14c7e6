package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// Each folder is a filter's source and want.out what vet says of it.
func TestVet(t *testing.T) {
	cases, err := filepath.Glob("testdata/vet/*")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, dir := range cases {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join(dir, "want.out"))
			require.NoError(t, err)
			var stdout, stderr bytes.Buffer
			code := command.Main([]string{"vet", "./" + dir}, &stdout, &stderr)
			require.Equal(t, string(want), stderr.String())
			if len(want) == 0 {
				require.Equal(t, cli.ExitOK, code)
			} else {
				require.Equal(t, cli.ExitFindings, code)
			}
		})
	}
}

func TestNeededExports(t *testing.T) {
	f, err := load("./testdata/prune")
	require.NoError(t, err)
	needed := neededExports(f)
	delete(needed, "")
	require.Equal(t, map[string]bool{
		"proxy_on_tick":               true,
		"proxy_on_http_call_response": true,
		"proxy_on_response_headers":   true,
	}, needed)
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

func TestLint(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Equal(t, cli.ExitOK, command.Main([]string{"lint", "../../internal/wasmfile/testdata/lint/ok.wasm"}, &stdout, &stderr))
	require.Regexp(t, `ok\.wasm 171 bytes sha256:[0-9a-f]{64}\n$`, stdout.String())
	require.Equal(t, cli.ExitFindings, command.Main([]string{"lint", "../../internal/wasmfile/testdata/lint/start.wasm"}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "start.wasm: exports _start")
	require.Equal(t, cli.ExitUsage, command.Main([]string{"lint"}, &stdout, &stderr))
}
