//go:build envoy

package main_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// Each request reads its cluster and its path out of the host. None of it stays.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	routes, addresses := upstreams(t, map[string]string{"/v1": "outbound|443||api.example.com"}, sandbox.Echo)
	p := start(t, envoytest.Setup{
		Filters: envoytest.Chain(envoytest.Filter(t, "jwtfetch", `{hosts: [api.example.com], paths: [/v1/*], upstream: {host: token.internal, port: 80},
			request: {path: /auth}, token: {json: /access_token}, lifetime: {json: /expires_in}}`)),
		Routes: routes, Upstreams: addresses,
	})
	tr := p.Traffic(4, "/v1/orders?"+"0123456789abcdef", hasToken)
	tr.AtLeast(envoytest.Size(10_000, 100_000))
	before := p.Memory()
	tr.AtLeast(envoytest.Size(30_000, 1_000_000))
	tr.Stop()
	grown := p.Memory() - before
	t.Logf("%d requests, from %d to %d kB", tr.Requests(), before/1024, (before+grown)/1024)
	require.Less(t, grown, 4<<20)
	p.NeverTrapped()
}
