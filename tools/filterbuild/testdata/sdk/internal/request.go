package internal

import "example.org/sdk/types"

//go:wasmexport proxy_on_request_headers
func proxyOnRequestHeaders(id uint32, n int32, end bool) types.Action {
	if recordTiming {
		defer logTiming("proxyOnRequestHeaders")
	}
	ctx, ok := current.streams[id]
	if !ok {
		panic("invalid context")
	}
	current.setActiveContextID(id)
	return ctx.OnHttpRequestHeaders(int(n), end)
}
