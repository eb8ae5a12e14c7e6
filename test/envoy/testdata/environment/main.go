// Command environment is a filter that only the tests use. It reads the variables V1 to V20 of its VM at start, after it has
// allocated, and answers with them.
package main

import (
	"os"
	"strconv"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() { proxywasm.SetVMContext(&vmContext{}) }

type vmContext struct{ types.DefaultVMContext }

func (*vmContext) NewPluginContext(uint32) types.PluginContext { return &pluginContext{} }

type pluginContext struct {
	types.DefaultPluginContext
	kept   [][]byte
	values string
}

// OnPluginStart fills the heap before and after the C library copies the environment into it: two heaps in one memory would show.
func (p *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	p.fill('a')
	for i := 1; i <= 20; i++ {
		p.values += os.Getenv("V"+strconv.Itoa(i)) + ";"
	}
	p.fill('b')
	for _, b := range p.kept {
		for _, c := range b {
			if c != b[0] {
				proxywasm.LogCritical("environment: somebody wrote into the heap")
				return types.OnPluginStartStatusFailed
			}
		}
	}
	return types.OnPluginStartStatusOK
}

func (p *pluginContext) fill(with byte) {
	for range 256 {
		b := make([]byte, 1024)
		for i := range b {
			b[i] = with
		}
		p.kept = append(p.kept, b)
	}
}

func (p *pluginContext) NewHttpContext(uint32) types.HttpContext { return &httpContext{plugin: p} }

type httpContext struct {
	types.DefaultHttpContext
	plugin *pluginContext
}

func (ctx *httpContext) OnHttpResponseHeaders(int, bool) types.Action {
	_ = proxywasm.ReplaceHttpResponseHeader("x-values", ctx.plugin.values)
	return types.ActionContinue
}
