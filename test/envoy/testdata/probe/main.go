// Command probe is a filter that only the tests use. It reads three headers of each request, and traps in the callback that
// x-trap names: "request" or "response". Its configuration is none, or {"value":"…"}: that of its header.
package main

import (
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

func main() {}

func init() { proxywasm.SetVMContext(&vmContext{}) }

type vmContext struct{ types.DefaultVMContext }

func (*vmContext) NewPluginContext(uint32) types.PluginContext { return &pluginContext{} }

type pluginContext struct {
	types.DefaultPluginContext
	value string
}

func (ctx *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	ctx.value = "was here"
	data, err := proxywasm.GetPluginConfiguration()
	if err != nil || len(data) <= len("{}") {
		return types.OnPluginStartStatusOK
	}
	parts := strings.Split(string(data), `"`)
	if len(parts) != 5 || parts[1] != "value" {
		proxywasm.LogCritical("probe: want value")
		return types.OnPluginStartStatusFailed
	}
	ctx.value = parts[3]
	return types.OnPluginStartStatusOK
}

func (ctx *pluginContext) NewHttpContext(uint32) types.HttpContext {
	return &httpContext{value: ctx.value}
}

type httpContext struct {
	types.DefaultHttpContext
	trap, value string
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
	_ = proxywasm.ReplaceHttpResponseHeader("x-probe", ctx.value)
	return types.ActionContinue
}
