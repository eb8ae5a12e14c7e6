// Command probe is a filter that only the tests use. It reads three headers of each request, and traps in the callback that
// x-trap names: "request" or "response".
package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() { proxywasm.SetVMContext(&vmContext{}) }

type vmContext struct{ types.DefaultVMContext }

func (*vmContext) NewPluginContext(uint32) types.PluginContext { return &pluginContext{} }

type pluginContext struct{ types.DefaultPluginContext }

func (*pluginContext) NewHttpContext(uint32) types.HttpContext { return &httpContext{} }

type httpContext struct {
	types.DefaultHttpContext
	trap string
}

func (ctx *httpContext) OnHttpRequestHeaders(int, bool) types.Action {
	_, _ = proxywasm.GetHttpRequestHeader(":path")
	_, _ = proxywasm.GetHttpRequestHeader("user-agent")
	ctx.trap, _ = proxywasm.GetHttpRequestHeader("x-trap")
	if ctx.trap == "request" {
		panic("x-trap: request")
	}
	return types.ActionContinue
}

func (ctx *httpContext) OnHttpResponseHeaders(int, bool) types.Action {
	if ctx.trap == "response" {
		panic("x-trap: response")
	}
	_ = proxywasm.ReplaceHttpResponseHeader("x-probe", "was here")
	return types.ActionContinue
}
