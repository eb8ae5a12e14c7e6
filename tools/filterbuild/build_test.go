//go:build envoy

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/loadcheck/testmodule"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

const filter = `
-- filters/f/plugin.yaml --
name: f
title: t
description: d
phases: [STATS]
-- filters/f/main.go --
package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() { proxywasm.SetVMContext(&vm{}) }

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

type plugin struct{ types.DefaultPluginContext }

func (*plugin) NewHttpContext(uint32) types.HttpContext { return &stream{} }

type stream struct{ types.DefaultHttpContext }

func (*stream) OnHttpRequestHeaders(int, bool) types.Action {
	proxywasm.LogInfo(text)
	return types.ActionContinue
}
-- filters/f/text.go --
package main

var text = "one"
-- filters/f/more.go --
package main

func init() { text += " and more" }
`

// repository is a folder with one filter, f, and the command line on it.
func repository(t *testing.T) (dir string, run func(args ...string) (code int, stdout, stderr string)) {
	t.Helper()
	dir = unpack(t, txtar.Parse([]byte(filter)))
	return dir, func(args ...string) (int, string, string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		code := command().Main(append([]string{"-root", dir, "-tools", filepath.Join(root, ".tools")}, args...), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
}

// A filter's life: built, fresh, stale after a file is gone, built anew, refused, and whatever was there before is gone.
func TestBuild(t *testing.T) {
	dir, run := repository(t)
	code, _, stderr := run("build", "f")
	require.Equal(t, cli.ExitOK, code, stderr)
	module := filepath.Join(dir, "build/f.wasm")
	first, err := os.ReadFile(module)
	require.NoError(t, err)

	m, err := wasmfile.Read(first)
	require.NoError(t, err)
	require.Subset(t, m.Exports, []string{"_initialize", "proxy_on_memory_allocate", "proxy_on_request_headers", "proxy_on_context_create", "proxy_on_delete"})
	for _, gone := range []string{"malloc", "free", "calloc", "realloc", "proxy_on_response_headers", "proxy_on_http_call_response", "proxy_on_tick"} {
		require.NotContains(t, m.Exports, gone)
	}
	described, err := catalog.ReadModule(filepath.Join(dir, "filters/f"))
	require.NoError(t, err)
	require.Equal(t, "0.2.0", described.ABI)
	require.Equal(t, m.Capabilities(), described.Capabilities)
	require.Equal(t, []string{
		"example.org/filter/filters/f",
		"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm v0.24.0",
		"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal v0.24.0",
		"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types v0.24.0",
	}, described.Packages)

	code, _, stderr = run("build", "f")
	require.Equal(t, cli.ExitOK, code)
	require.Empty(t, stderr, "nothing has changed, so nothing is compiled")
	code, stdout, _ := run("stale", "f")
	require.Equal(t, cli.ExitOK, code)
	require.Empty(t, stdout)

	require.NoError(t, os.Remove(filepath.Join(dir, "filters/f/more.go")))
	code, stdout, _ = run("stale", "f")
	require.Equal(t, cli.ExitFindings, code)
	require.Equal(t, "build/f.wasm is stale: it is not what filters/f builds now. run \"make build FILTER=f\"\n", stdout)
	code, stdout, stderr = run("build", "f")
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Regexp(t, `^build/f\.wasm \d+ bytes sha256:[0-9a-f]{64}\n$`, stdout)
	second, err := os.ReadFile(module)
	require.NoError(t, err)
	require.NotEqual(t, first, second)

	// Somebody else's module in this place is not taken for ours.
	require.NoError(t, os.WriteFile(module, first, 0o644))
	code, _, stderr = run("build", "f")
	require.Equal(t, cli.ExitOK, code)
	require.Contains(t, stderr, "build: compiling filters/f")
	third, err := os.ReadFile(module)
	require.NoError(t, err)
	require.Equal(t, second, third)

	write(t, dir, "filters/f/text.go", "package main\n\nvar text = 1\n")
	code, _, stderr = run("build", "f")
	require.Equal(t, cli.ExitFindings, code)
	require.Contains(t, stderr, "filters/f/main.go:23:20: cannot use text")
	require.NoFileExists(t, module)
}

// What build refuses, in its words.
func TestBuildRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		file, text string
		code       int
		want       string
	}{
		"too big": {"plugin.yaml", "name: f\ntitle: t\ndescription: d\nphases: [STATS]\nsize: 20kB\n", cli.ExitFindings,
			`filters/f/plugin.yaml:1:1: the module has \d+ bytes, size allows 20kB. most of its code, before wasm-opt: .*runtime \d+ kB.* \[guest-size\]`},
		"forbidden": {"plugin.yaml", "name: f\ntitle: t\ndescription: d\nphases: [STATS]\nforbid: [github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal]\n", cli.ExitFindings,
			`filters/f/main.go:4:2: plugin.yaml forbids "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal", and this brings \d+ bytes of it`},
		"a goroutine in somebody else's code": {"text.go", `package main

import "context"

type deadline struct{ context.Context }

func (deadline) Done() <-chan struct{} { return make(chan struct{}) }

var text = func() string {
	ctx, stop := context.WithCancel(deadline{context.Background()})
	stop()
	return ctx.Err().Error()
}()
`, cli.ExitFindings, `filters/f/text.go:10:33: this leads to .*propagateCancel, which starts a goroutine: a filter is built without a scheduler`},
		"not main": {"main.go", "package f\n", cli.ExitFindings, "found packages f"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, run := repository(t)
			write(t, dir, "filters/f/"+c.file, c.text)
			code, stdout, stderr := run("build", "f")
			require.Equal(t, c.code, code, stderr)
			require.Empty(t, stdout)
			require.Regexp(t, c.want, stderr)
			require.NoFileExists(t, filepath.Join(dir, "build/f.wasm"))
		})
	}
	dir, run := repository(t)
	write(t, dir, "filters/empty/plugin.yaml", "name: empty\ntitle: t\ndescription: d\nphases: [STATS]\n")
	code, _, stderr := run("build", "empty")
	require.Equal(t, cli.ExitFindings, code)
	require.Contains(t, stderr, "filters/empty: neither Go files nor module.wasm")
	code, _, stderr = run("build", "g")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, `unknown filter "g". filters in `)
	code, _, _ = run("build")
	require.Equal(t, cli.ExitUsage, code)
}

// One filter that cannot be built does not keep the others from it.
func TestBuildGoesOn(t *testing.T) {
	dir, run := repository(t)
	write(t, dir, "filters/broken/plugin.yaml", "name: broken\ntitle: t\ndescription: d\nphases: [STATS]\n")
	write(t, dir, "filters/broken/main.go", "package main\n\nfunc main() { return 1 }\n")
	code, stdout, stderr := run("build", "broken", "f")
	require.Equal(t, cli.ExitFindings, code)
	require.Contains(t, stdout, "build/f.wasm ")
	require.Contains(t, stderr, "filters/broken/main.go:3:22: too many return values")
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
}

// A module that somebody else built, in whatever language, is a filter: checked, described, and not a byte changed.
func TestPrebuilt(t *testing.T) {
	dir := unpack(t, txtar.Parse([]byte("-- filters/from-rust/plugin.yaml --\nname: from-rust\ntitle: t\ndescription: d\nphases: [STATS]\n")))
	run := func(args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		code := command().Main(append([]string{"-root", dir, "-tools", filepath.Join(root, ".tools")}, args...), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	headers := testmodule.Function{Name: "proxy_on_request_headers", Signature: "i32 i32 i32 -> i32"}
	good := testmodule.Module{ABI: "0.2.1", Exports: []testmodule.Function{headers}}.Build()
	write(t, dir, "filters/from-rust/module.wasm", string(good))
	code, stdout, stderr := run("build", "from-rust")
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Contains(t, stdout, "build/from-rust.wasm ")
	module, err := os.ReadFile(filepath.Join(dir, "build/from-rust.wasm"))
	require.NoError(t, err)
	require.Equal(t, good, module)
	described, err := catalog.ReadModule(filepath.Join(dir, "filters/from-rust"))
	require.NoError(t, err)
	require.Equal(t, "0.2.1", described.ABI)
	require.Contains(t, described.Capabilities, "proxy_on_request_headers")

	headers.Signature = "i32 i32 -> i32"
	write(t, dir, "filters/from-rust/module.wasm", string(testmodule.Module{Exports: []testmodule.Function{headers}}.Build()))
	code, _, _ = run("stale", "from-rust")
	require.Equal(t, cli.ExitFindings, code)
	code, _, stderr = run("build", "from-rust")
	require.Equal(t, cli.ExitFindings, code)
	require.Contains(t, stderr, "export proxy_on_request_headers has the signature (i32 i32 -> i32), Envoy calls (i32 i32 i32 -> i32) of ABI 0.2.0")
	require.NoFileExists(t, filepath.Join(dir, "build/from-rust.wasm"))

	write(t, dir, "filters/from-rust/main.go", "package main\n")
	code, _, stderr = run("build", "from-rust")
	require.Equal(t, cli.ExitFindings, code)
	require.Contains(t, stderr, "filters/from-rust:1:1: beside module.wasm nothing is compiled")
}
