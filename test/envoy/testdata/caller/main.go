// Command caller is a filter that only the tests use. It asks the service {"upstream":{"host":"token.internal","port":80}} of its
// configuration for each request, and puts the header authorization of the answer on it.
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

type httpContext struct{ types.DefaultHttpContext }

func (*httpContext) OnHttpRequestHeaders(int, bool) types.Action {
	headers := [][2]string{{":method", "GET"}, {":path", "/auth"}, {":authority", "token.internal"}}
	_, err := proxywasm.DispatchHttpCall("outbound|80||token.internal", headers, nil, nil, 1000, answered)
	if err != nil {
		proxywasm.LogCritical("caller: " + err.Error())
		return types.ActionContinue
	}
	return types.ActionPause
}

func answered(int, int, int) {
	answer, err := proxywasm.GetHttpCallResponseHeaders()
	if err != nil {
		proxywasm.LogCritical("caller: " + err.Error())
	}
	for _, header := range answer {
		if header[0] == "authorization" {
			_ = proxywasm.ReplaceHttpRequestHeader("authorization", header[1])
		}
	}
	_ = proxywasm.ResumeHttpRequest()
}
