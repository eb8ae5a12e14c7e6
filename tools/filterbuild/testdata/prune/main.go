// The contexts override callbacks in every way that Go has: directly, by a promoted method of an own base type, in a local type.
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

func (*pluginContext) OnTick() {
	_, _ = proxywasm.DispatchHttpCall("cluster", nil, nil, nil, 1000, func(int, int, int) {})
}

func (*pluginContext) NewHttpContext(uint32) types.HttpContext {
	type local struct{ base }
	return &local{}
}

type base struct{ types.DefaultHttpContext }

func (*base) OnHttpResponseHeaders(int, bool) types.Action { return types.ActionContinue }
