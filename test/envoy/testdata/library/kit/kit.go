// Package kit is a small wrapper library, as teams share between filters: the contexts and the callouts are in the library.
package kit

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// Serve registers a filter that calls h for each request.
func Serve(h func() types.Action) { proxywasm.SetVMContext(&vm{h: h}) }

type vm struct {
	types.DefaultVMContext
	h func() types.Action
}

func (v *vm) NewPluginContext(uint32) types.PluginContext { return &plugin{h: v.h} }

type plugin struct {
	types.DefaultPluginContext
	h func() types.Action
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext { return &stream{h: p.h} }

type stream struct {
	types.DefaultHttpContext
	h func() types.Action
}

func (s *stream) OnHttpRequestHeaders(int, bool) types.Action { return s.h() }

// Get calls a cluster and calls done when it has answered.
func Get(cluster, path string, done func()) error {
	_, err := proxywasm.DispatchHttpCall(cluster, [][2]string{{":method", "GET"}, {":path", path}, {":authority", cluster}}, nil, nil, 1000,
		func(int, int, int) { done() })
	return err
}
