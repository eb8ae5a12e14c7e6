package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/wasmfleet/wasmfleet/filters/internal/pluginconfig"
)

// vmContext implements types.VMContext.
type vmContext struct {
	// Embed the default VM context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultVMContext
}

// NewPluginContext implements types.VMContext.
func (*vmContext) NewPluginContext(uint32) types.PluginContext { return &pluginContext{} }

// pluginContext implements types.PluginContext.
type pluginContext struct {
	// Embed the default plugin context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultPluginContext
	http httpContext
}

// OnPluginStart implements types.PluginContext.
func (p *pluginContext) OnPluginStart(int) types.OnPluginStartStatus {
	data, err := pluginconfig.Load()
	if err == nil {
		p.http.config, err = parseConfig(data)
	}
	if err != nil {
		proxywasm.LogCritical("addheader: parsing plugin configuration: " + err.Error())
		return types.OnPluginStartStatusFailed
	}
	return types.OnPluginStartStatusOK
}

// NewHttpContext implements types.PluginContext. A stream has no state of its own: all share one context, and none is allocated.
func (p *pluginContext) NewHttpContext(uint32) types.HttpContext { return &p.http }

// httpContext implements types.HttpContext.
type httpContext struct {
	// Embed the default http context here,
	// so that we don't need to reimplement all the methods.
	types.DefaultHttpContext
	config config
}

// OnHttpResponseHeaders implements types.HttpContext.
func (ctx *httpContext) OnHttpResponseHeaders(int, bool) types.Action {
	// Replace, not add: one call into the host, and a header of this name that the upstream sent does not show beside ours.
	if err := proxywasm.ReplaceHttpResponseHeader(ctx.config.name, ctx.config.value); err != nil {
		proxywasm.LogError("addheader: setting response header: " + err.Error())
	}
	return types.ActionContinue
}
