package plugintest

import (
	"os"
	"regexp"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// strict is the emulator where Envoy is stricter: a filter that hangs there must not pass here.
type strict struct {
	proxytest.HostEmulator
	fatalf func(format string, args ...any)
	paused map[uint32]string // the callback of headers that paused a stream, by context
	holds  bool              // plugin.yaml says that a pause in headers waits for the body
}

// stopIteration is the line of plugin.yaml. A test runs in the filter's folder.
var stopIteration = regexp.MustCompile(`(?m)^stopIteration: *headers\b`)

func newStrict(host proxytest.HostEmulator, fatalf func(string, ...any)) *strict {
	about, _ := os.ReadFile("plugin.yaml") // none is a filter without
	return &strict{host, fatalf, map[uint32]string{}, stopIteration.Match(about)}
}

// CallOnRequestHeaders implements proxytest.HostEmulator.
func (h *strict) CallOnRequestHeaders(id uint32, headers [][2]string, end bool) types.Action {
	return h.headers(id, "OnHttpRequestHeaders", h.HostEmulator.CallOnRequestHeaders(id, headers, end))
}

// CallOnResponseHeaders implements proxytest.HostEmulator.
func (h *strict) CallOnResponseHeaders(id uint32, headers [][2]string, end bool) types.Action {
	return h.headers(id, "OnHttpResponseHeaders", h.HostEmulator.CallOnResponseHeaders(id, headers, end))
}

func (h *strict) headers(id uint32, callback string, action types.Action) types.Action {
	delete(h.paused, id)
	if action == types.ActionPause {
		h.paused[id] = callback
	}
	return action
}

// CallOnRequestBody implements proxytest.HostEmulator.
func (h *strict) CallOnRequestBody(id uint32, body []byte, end bool) types.Action {
	h.comes(id, "OnHttpRequestBody")
	return h.HostEmulator.CallOnRequestBody(id, body, end)
}

// CallOnResponseBody implements proxytest.HostEmulator.
func (h *strict) CallOnResponseBody(id uint32, body []byte, end bool) types.Action {
	h.comes(id, "OnHttpResponseBody")
	return h.HostEmulator.CallOnResponseBody(id, body, end)
}

// comes fails the test when Envoy would not call the callback.
func (h *strict) comes(id uint32, callback string) {
	if by := h.paused[id]; by != "" && !h.holds && h.GetCurrentHttpStreamAction(id) == types.ActionPause {
		h.fatalf("%s returned ActionPause and nothing has resumed the stream, so Envoy does not call %s: the stream waits for good. return ActionContinue from %s and ActionPause from the callback of the body, resume before, or say stopIteration: headers in plugin.yaml", by, callback, by)
	}
}
