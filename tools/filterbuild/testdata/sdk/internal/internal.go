// Package internal hands the host's calls to the contexts.
package internal

import "example.org/sdk/types"

const recordTiming = false

type state struct {
	vm              types.VMContext
	plugins         map[uint32]types.PluginContext
	streams         map[uint32]types.HttpContext
	activeContextID uint32
}

var current = &state{plugins: map[uint32]types.PluginContext{}, streams: map[uint32]types.HttpContext{}}

func SetVMContext(c types.VMContext) { current.vm = c }

func (s *state) setActiveContextID(id uint32) { s.activeContextID = id }

func logTiming(string) {}

//go:wasmexport proxy_on_vm_start
func proxyOnVMStart(uint32, int32) bool { return true }

//go:wasmexport proxy_on_context_create
func proxyOnContextCreate(id, plugin uint32) {
	if plugin == 0 {
		current.plugins[id] = current.vm.NewPluginContext(id)
		return
	}
	current.streams[id] = current.plugins[plugin].NewHttpContext(id)
}

//go:wasmexport proxy_on_tick
func proxyOnTick(id uint32) {
	ctx, ok := current.plugins[id]
	if !ok {
		panic("invalid context")
	}
	current.setActiveContextID(id)
	ctx.OnTick()
}

//go:wasmexport proxy_on_done
func proxyOnDone(id uint32) bool {
	if ctx, ok := current.plugins[id]; ok {
		current.setActiveContextID(id)
		return ctx.OnPluginDone()
	}
	return true
}

//go:wasmexport proxy_on_log
func proxyOnLog(id uint32) {
	if ctx, ok := current.streams[id]; ok {
		current.setActiveContextID(id)
		ctx.OnHttpStreamDone()
	}
}
