package wasmfile_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

var update = flag.Bool("update", false, "write the .out files")

//go:generate sh -c "for f in testdata/lint/*.wat; do wasm-as $f -o ${f%.wat}.wasm; done"

// Each case is a module in text, its binary (go generate) and the findings; a case named ok… has none.
func TestLint(t *testing.T) {
	files, err := filepath.Glob("testdata/lint/*.wasm")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".wasm")
		t.Run(name, func(t *testing.T) {
			module, err := os.ReadFile(file)
			require.NoError(t, err)
			m, err := wasmfile.Read(module)
			require.NoError(t, err)
			got := ""
			for _, f := range wasmfile.Lint(m) {
				got += f + "\n"
			}
			if strings.HasPrefix(name, "ok") {
				require.Empty(t, got)
				require.Empty(t, m.Refusals(nil), "no Envoy refuses nothing")
				return
			}
			out := strings.TrimSuffix(file, ".wasm") + ".out"
			if *update {
				require.NoError(t, os.WriteFile(out, []byte(got), 0o644))
			}
			want, err := os.ReadFile(out)
			require.NoError(t, err)
			require.NotEmpty(t, got)
			require.Equal(t, string(want), got)
		})
	}
}

func TestCapabilities(t *testing.T) {
	module, err := os.ReadFile("testdata/lint/ok.wasm")
	require.NoError(t, err)
	m, err := wasmfile.Read(module)
	require.NoError(t, err)
	require.Equal(t, []string{"proxy_add_header_map_value", "proxy_on_request_headers"}, m.Capabilities(), "neither _initialize nor the allocator")
}

func TestReadRefuses(t *testing.T) {
	ok, err := os.ReadFile("testdata/lint/ok.wasm")
	require.NoError(t, err)
	component := append([]byte("\x00asm\x0d\x00\x01\x00"), ok[8:]...)
	for name, c := range map[string]struct {
		module []byte
		want   string
	}{
		"empty":     {nil, "not a wasm module"},
		"text":      {[]byte("(module)"), "not a wasm module"},
		"truncated": {ok[:100], "truncated or invalid wasm module"},
		"component": {component, "not a core wasm module of version 1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := wasmfile.Read(c.module)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// What is refused on purpose can be allowed; what Envoy refuses cannot.
func TestLimits(t *testing.T) {
	ok, err := os.ReadFile("testdata/lint/nocallback.wasm")
	require.NoError(t, err)
	// A custom section makes it large.
	m, err := wasmfile.Read(append(bytes.Clone(ok), append([]byte("\x00\x81\x80\xc0\x02\x01x"), make([]byte, 5<<20-1)...)...))
	require.NoError(t, err)
	strict := m.Policy(wasmfile.Limits{Bytes: wasmfile.MaxBytes, MemoryBytes: 64 << 10})
	require.Len(t, strict, 3)
	require.Contains(t, strict[0], "is over the limit of 5242880")
	require.Contains(t, strict[1], "declares 131072 bytes of memory at start, the limit is 65536")
	require.Contains(t, strict[2], "it would do nothing")
	require.Empty(t, m.Policy(wasmfile.Limits{Bytes: 6 << 20, MemoryBytes: wasmfile.MaxMemoryBytes, NoCallback: true}))
}

// A filter for newer Istios only may use what only their Envoys have.
func TestLintFor(t *testing.T) {
	module, err := os.ReadFile("testdata/lint/import-older-envoy.wasm")
	require.NoError(t, err)
	m, err := wasmfile.Read(module)
	require.NoError(t, err)
	require.NotEmpty(t, wasmfile.LintFor(m, ">=1.30", 0))
	require.Empty(t, wasmfile.LintFor(m, ">=1.31", 0))
}

func FuzzRead(f *testing.F) {
	files, err := filepath.Glob("testdata/lint/*.wasm")
	require.NoError(f, err)
	for _, file := range files {
		module, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(module)
	}
	f.Fuzz(func(_ *testing.T, module []byte) {
		if m, err := wasmfile.Read(module); err == nil {
			wasmfile.Lint(m)
		}
	})
}
