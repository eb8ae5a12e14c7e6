package plugintest

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

const exportSection = 7

// withStart returns the module with its _initialize exported as _start as well, and the names of its exports.
//
// Envoy runs either function before the first callback; proxytest's wazero runs _start only, and without it no init has run.
// The toolchain made the module, so it is taken as well-formed.
func withStart(module []byte) ([]byte, map[string]bool) {
	const header = 8 // magic and version
	out := bytes.Clone(module[:header])
	exports := map[string]bool{}
	for rest := module[header:]; len(rest) > 0; {
		id := rest[0]
		var section []byte
		section, rest = prefixed(rest[1:])
		if id == exportSection {
			section = addStart(section, exports)
		}
		out = binary.AppendUvarint(append(out, id), uint64(len(section)))
		out = append(out, section...)
	}
	return out, exports
}

// addStart rewrites the export section: a count, then a name, a kind and an index for each export.
func addStart(section []byte, exports map[string]bool) []byte {
	count, n := binary.Uvarint(section)
	entries := section[n:]
	var start []byte
	for rest := entries; len(rest) > 0; {
		var name []byte
		name, rest = prefixed(rest)
		_, n := binary.Uvarint(rest[1:])
		if string(name) == "_initialize" {
			start = slices.Concat([]byte("\x06_start"), rest[:1+n])
			count++
		}
		exports[string(name)] = true
		rest = rest[1+n:]
	}
	return slices.Concat(binary.AppendUvarint(nil, count), entries, start)
}

// prefixed cuts off bytes that follow their length.
func prefixed(b []byte) (content, rest []byte) {
	size, n := binary.Uvarint(b)
	end := n + int(size)
	return b[n:end], b[end:]
}

// vmContext implements types.VMContext with a module, and so do the contexts below: they call what the module exports.
//
// The build removes the exports of callbacks that a filter leaves to the SDK. Envoy passes over a missing one; proxytest
// would call it.
type vmContext struct {
	types.VMContext
	exports map[string]bool
}

// OnVMStart implements types.VMContext.
func (c *vmContext) OnVMStart(size int) types.OnVMStartStatus {
	return call(c.exports, "proxy_on_vm_start", types.OnVMStartStatusOK, func() types.OnVMStartStatus {
		return c.VMContext.OnVMStart(size)
	})
}

// NewPluginContext implements types.VMContext.
func (c *vmContext) NewPluginContext(id uint32) types.PluginContext {
	return &pluginContext{c.VMContext.NewPluginContext(id), c.exports}
}

// pluginContext implements types.PluginContext.
type pluginContext struct {
	types.PluginContext
	exports map[string]bool
}

// OnPluginStart implements types.PluginContext.
func (c *pluginContext) OnPluginStart(size int) types.OnPluginStartStatus {
	return call(c.exports, "proxy_on_configure", types.OnPluginStartStatusOK, func() types.OnPluginStartStatus {
		return c.PluginContext.OnPluginStart(size)
	})
}

// OnPluginDone implements types.PluginContext.
func (c *pluginContext) OnPluginDone() bool {
	return call(c.exports, "proxy_on_done", true, c.PluginContext.OnPluginDone)
}

// OnQueueReady implements types.PluginContext.
func (c *pluginContext) OnQueueReady(id uint32) {
	if c.exports["proxy_on_queue_ready"] {
		c.PluginContext.OnQueueReady(id)
	}
}

// OnTick implements types.PluginContext.
func (c *pluginContext) OnTick() {
	if c.exports["proxy_on_tick"] {
		c.PluginContext.OnTick()
	}
}

// NewHttpContext implements types.PluginContext.
func (c *pluginContext) NewHttpContext(id uint32) types.HttpContext {
	return &httpContext{c.PluginContext.NewHttpContext(id), c.exports}
}

// httpContext implements types.HttpContext.
type httpContext struct {
	types.HttpContext
	exports map[string]bool
}

// OnHttpRequestHeaders implements types.HttpContext.
func (c *httpContext) OnHttpRequestHeaders(n int, end bool) types.Action {
	return c.on("proxy_on_request_headers", func() types.Action { return c.HttpContext.OnHttpRequestHeaders(n, end) })
}

// OnHttpRequestBody implements types.HttpContext.
func (c *httpContext) OnHttpRequestBody(n int, end bool) types.Action {
	return c.on("proxy_on_request_body", func() types.Action { return c.HttpContext.OnHttpRequestBody(n, end) })
}

// OnHttpRequestTrailers implements types.HttpContext.
func (c *httpContext) OnHttpRequestTrailers(n int) types.Action {
	return c.on("proxy_on_request_trailers", func() types.Action { return c.HttpContext.OnHttpRequestTrailers(n) })
}

// OnHttpResponseHeaders implements types.HttpContext.
func (c *httpContext) OnHttpResponseHeaders(n int, end bool) types.Action {
	return c.on("proxy_on_response_headers", func() types.Action { return c.HttpContext.OnHttpResponseHeaders(n, end) })
}

// OnHttpResponseBody implements types.HttpContext.
func (c *httpContext) OnHttpResponseBody(n int, end bool) types.Action {
	return c.on("proxy_on_response_body", func() types.Action { return c.HttpContext.OnHttpResponseBody(n, end) })
}

// OnHttpResponseTrailers implements types.HttpContext.
func (c *httpContext) OnHttpResponseTrailers(n int) types.Action {
	return c.on("proxy_on_response_trailers", func() types.Action { return c.HttpContext.OnHttpResponseTrailers(n) })
}

// OnHttpStreamDone implements types.HttpContext.
func (c *httpContext) OnHttpStreamDone() {
	if c.exports["proxy_on_log"] {
		c.HttpContext.OnHttpStreamDone()
	}
}

func (c *httpContext) on(export string, callback func() types.Action) types.Action {
	return call(c.exports, export, types.ActionContinue, callback)
}

// call runs the callback when the module exports it, and answers as the host does when it does not.
func call[T any](exports map[string]bool, name string, otherwise T, callback func() T) T {
	if !exports[name] {
		return otherwise
	}
	return callback()
}
