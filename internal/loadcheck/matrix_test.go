//go:build envoy

package loadcheck_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/istiocompat"
	"github.com/wasmfleet/wasmfleet/internal/loadcheck"
	"github.com/wasmfleet/wasmfleet/internal/loadcheck/testmodule"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// module is one question to an Envoy and to the lint.
type module struct {
	name  string
	bytes []byte
}

// The lint says of each module what each Envoy says: whether it is loaded. Without make envoys only the pinned one is
// asked.
func TestLintIsEnvoy(t *testing.T) {
	versions, minors := istiocompat.TestedEnvoys(), istiocompat.EnvoyMinors()
	asked := 0
	for i, version := range versions {
		envoy := filepath.Join("../../.tools", "envoy-"+version, "envoy")
		if _, err := os.Stat(envoy); !longForm && (err != nil || i > 0 && i < len(versions)-1) {
			continue // the short form asks the oldest and the newest
		}
		asked++
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			modules := matrix(minors[i])
			refused := 0
			for _, m := range modules {
				reason, err := loadcheck.Check(t.Context(), envoy, m.bytes)
				require.NoError(t, err)
				if reason != "" {
					refused++
				}
				words := words(m.bytes, minors[i:i+1])
				assert.Equal(t, reason == "", len(words) == 0, "%s: Envoy says %q, the lint %q", m.name, reason, words)
			}
			t.Logf("%d modules, %d of them refused by both", len(modules), refused)
		})
	}
	require.Positive(t, asked, `no Envoy in .tools. run "make tools"`)
}

func words(module []byte, minors []string) []string {
	m, err := wasmfile.Read(module)
	if err != nil {
		return []string{err.Error()}
	}
	return append(m.Refusals(minors), m.Doubts()...)
}

// matrix is, for each ABI, a module with all that this Envoy gives and calls, and modules with one thing wrong in each. The long
// form asks for each function alone.
func matrix(envoy string) []module {
	var all []module
	add := func(name string, m testmodule.Module) { all = append(all, module{name, m.Build()}) }
	for _, abi := range []string{"0.1.0", "0.2.0", "0.2.1"} {
		full := testmodule.Module{ABI: abi}
		for i, f := range istiocompat.Functions("import") {
			given, ok := istiocompat.Import(f.Module, f.Name, abi, envoy)
			one := testmodule.Function{Module: f.Module, Name: f.Name, Signature: f.Signature}
			wrong := one
			wrong.Signature = "i64 " + f.Signature
			if ok {
				one.Signature = given.Signature
				full.Imports = append(full.Imports, one)
			}
			if longForm || !ok && abi == "0.2.1" || i%16 == 0 {
				add(abi+" import "+f.Module+"."+f.Name, testmodule.Module{ABI: abi, Imports: []testmodule.Function{one}})
				add(abi+" import of another signature "+f.Module+"."+f.Name, testmodule.Module{ABI: abi, Imports: []testmodule.Function{wrong}})
			}
		}
		for i, f := range istiocompat.Functions("export") {
			called, ok := istiocompat.Export(f.Name, abi, envoy)
			if ok && f.Name != "_initialize" && f.Name != "main" {
				full.Exports = append(full.Exports, testmodule.Function{Name: f.Name, Signature: called.Signature})
			}
			if longForm || i%8 == 0 {
				add(abi+" export of another signature "+f.Name, testmodule.Module{ABI: abi, Exports: []testmodule.Function{{Name: f.Name, Signature: "i64 " + f.Signature}}})
			}
		}
		add(abi+" everything", full)
	}
	const i32Const, end, unreachable, memoryStore = 0x41, 0x0b, 0x00, 0x36
	data := []byte{11, 11, 1, 0, i32Const, 0x80, 0x80, 0x80, 0x02, end, 3, 'a', 'b', 'c'} // at 4 MiB
	data[1] = byte(len(data) - 2)
	for name, m := range map[string]testmodule.Module{
		"plain":                   {},
		"unknown ABI":             {ABI: "0.9.0"},
		"no ABI":                  {ABIs: []string{""}, Without: []string{"proxy_abi_version_"}},
		"two ABIs":                {ABIs: []string{"0.1.0", "0.2.1"}, Exports: []testmodule.Function{{Name: "proxy_on_request_headers", Signature: "i32 i32 -> i32"}}},
		"two ABIs, the other way": {ABIs: []string{"0.2.1", "0.1.0"}, Exports: []testmodule.Function{{Name: "proxy_on_request_headers", Signature: "i32 i32 -> i32"}}},
		"an unknown ABI first":    {ABIs: []string{"0.9.0", "0.2.1"}},
		"unknown import":          {Imports: []testmodule.Function{{Module: "env", Name: "strlen", Signature: "i32 -> i32"}}},
		"unknown host module":     {Imports: []testmodule.Function{{Module: "wasi:cli", Name: "fd_write", Signature: "->"}}},
		"an imported global":      {Other: [][]byte{[]byte("\x03env\x09proxy_log\x03\x7f\x00")}},
		"an imported memory":      {Other: [][]byte{[]byte("\x03env\x01t\x01\x70\x00\x01")}},
		"unknown export":          {Exports: []testmodule.Function{{Name: "proxy_on_whatever", Signature: "i64 ->"}}},
		"17 MiB of memory":        {Pages: 272},
		"1 GiB of memory":         {Pages: 16384},
		"a trap in _initialize":   {Exports: []testmodule.Function{{Name: "_initialize", Signature: "->", Body: []byte{unreachable}}}},
		"a trap in _start":        {Without: []string{"_initialize"}, Exports: []testmodule.Function{{Name: "_start", Signature: "->", Body: []byte{unreachable}}}},
		"_start":                  {Without: []string{"_initialize"}, Exports: []testmodule.Function{{Name: "_start", Signature: "->"}}},
		"neither":                 {Without: []string{"_initialize"}},
		"_start that exits": {Without: []string{"_initialize"}, Imports: []testmodule.Function{{Module: "wasi_snapshot_preview1", Name: "proc_exit", Signature: "i32 ->"}},
			Exports: []testmodule.Function{{Name: "_start", Signature: "->", Body: []byte{i32Const, 0, 0x10, 0}}}},
		"main":                          {Exports: []testmodule.Function{{Name: "main", Signature: "i32 i32 -> i32"}}},
		"main that traps":               {Exports: []testmodule.Function{{Name: "main", Signature: "i32 i32 -> i32", Body: []byte{unreachable}}}},
		"data outside the memory":       {Raw: data},
		"sections in another order":     {Raw: []byte{1, 1, 0}},
		"a memory that is not exported": {Without: []string{"memory"}},
		"malloc":                        {Exports: []testmodule.Function{{Name: "malloc", Signature: "i32 -> i32"}}},
		"no allocator":                  {Without: []string{"proxy_on_memory_allocate"}},
		"code that is no code":          {Exports: []testmodule.Function{{Name: "proxy_on_tick", Signature: "i32 ->", Body: []byte{memoryStore, 2, 0}}}},
	} {
		add(name, m)
	}
	truncated := testmodule.Module{}.Build()
	all = append(all, module{"truncated", truncated[:len(truncated)-3]}, module{"text", []byte("(module)")})
	return all
}

// Every function of the table is in the matrix: its words are those of the Envoys.
func TestTable(t *testing.T) {
	require.Greater(t, len(istiocompat.Functions("import")), 100)
	require.Greater(t, len(istiocompat.Functions("export")), 30)
	for _, f := range istiocompat.Functions("import") {
		require.NotContains(t, f.Signature, "f64 f32", fmt.Sprint(f))
		require.Contains(t, f.Signature, "->")
	}
	for _, f := range istiocompat.Functions("export") {
		require.Equal(t, 1, strings.Count(f.Signature, "->"))
	}
}
