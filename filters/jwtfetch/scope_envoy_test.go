//go:build envoy

package main_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"sync/atomic"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

var wellFormedToken = regexp.MustCompile(`(Bearer |")[\w-]+\.[\w-]+\.[\w-]+`)

// upstreams are clusters by name, each with a route for the path of its key.
func upstreams(t *testing.T, clusters map[string]string, backend http.Handler) (routes []*routev3.Route, addresses map[string]netip.AddrPort) {
	t.Helper()
	addresses = map[string]netip.AddrPort{}
	for path, cluster := range clusters {
		routes = append(routes, envoy.Route(path, cluster))
		addresses[cluster] = envoytest.Serve(t, backend)
	}
	return routes, addresses
}

// A proxy with several upstreams: the token goes to those of hosts. What an application sends to the others is untouched, with its
// own header, whatever it calls the host.
func TestScope(t *testing.T) {
	t.Parallel()
	inScope := map[string]string{"/scoped": "outbound|443||api.example.com", "/subset": "outbound|443|v2|api.example.com", "/suffix": "outbound|80||a.b.example.net"}
	outside := map[string]string{
		"/other": "outbound|443||other.example.com", "/passthrough": "PassthroughCluster", "/inbound": "inbound|8080||",
		"/plain": "api.example.org", "/apex": "outbound|80||example.net",
	}
	many := map[string]string{"/many": "outbound|443||*.example.com"}
	routes, addresses := upstreams(t, inScope, sandbox.Echo)
	more, others := upstreams(t, outside, sandbox.Echo)
	maps.Copy(addresses, others)
	manyRoutes, manyAddresses := upstreams(t, many, sandbox.Echo)
	maps.Copy(addresses, manyAddresses)
	more = append(more, manyRoutes...)
	p := start(t, envoytest.Setup{
		Filters: envoytest.Chain(envoytest.Filter(t, "jwtfetch", `{hosts: [api.example.com, '*.example.net'], upstream: {host: token.internal, port: 80},
			request: {path: /auth}, token: {json: /access_token}, lifetime: {json: /expires_in}, exposeTokenToClients: {header: x-auth}}`)),
		Routes:    append(routes, more...),
		Upstreams: addresses,
	})
	for path := range inScope {
		got := p.Get(path, "authorization", "mine")
		require.Regexp(t, `^Bearer [\w-]+\.[\w-]+\.[\w-]+$`, got.Upstream(t).Headers["authorization"], path)
		require.NotEmpty(t, got.Header.Get("x-auth"), path)
	}
	for path := range outside {
		for _, host := range []string{"api.example.com", "a.example.net", "other"} {
			got, header := call(p, path, host)
			require.Equal(t, "mine", got["authorization"], path)
			require.Equal(t, host, got["host"])
			require.Empty(t, header.Get("x-auth"), path)
		}
	}
	for host, want := range map[string]string{"api.example.com": "^Bearer ", "API.example.com:443": "^Bearer ", "other.example.com": "^mine$"} {
		got, _ := call(p, "/many", host)
		require.Regexp(t, want, got["authorization"], "of a cluster for many hosts, %s", host)
	}
	// Without a token, only who should have had one is denied.
	p = start(t, envoytest.Setup{
		Filters: envoytest.Chain(envoytest.Filter(t, "jwtfetch", `{hosts: [api.example.com, '*.example.net'], upstream: {host: token.internal, port: 80},
			request: {path: /auth}, token: {json: /access_token}, lifetime: {json: /expires_in}}`)),
		Routes:    append(routes, more...),
		Upstreams: addresses,
		Services:  down,
	})
	for path := range inScope {
		require.Equal(t, http.StatusServiceUnavailable, p.Get(path).Status, path)
	}
	for path := range outside {
		require.Equal(t, http.StatusOK, p.Get(path).Status, path)
	}
	p.NeverTrapped()
}

// call sends a request with an authorization of its own to what it calls host, and returns the headers at the upstream and of the answer.
func call(p *envoytest.Proxy, path, host string) (atUpstream map[string]string, answer http.Header) {
	p.T.Helper()
	req, err := http.NewRequestWithContext(p.T.Context(), http.MethodGet, p.URL()+path, nil)
	require.NoError(p.T, err)
	req.Host = host
	req.Header.Set("authorization", "mine")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(p.T, err)
	defer resp.Body.Close()
	var got sandbox.Request
	require.NoError(p.T, json.NewDecoder(resp.Body).Decode(&got))
	return got.Headers, resp.Header
}

// Everything else that the mesh calls from this proxy goes on without a token, at full speed and 0 times with one.
func TestNoTokenForOthersUnderLoad(t *testing.T) {
	t.Parallel()
	var leaked, others atomic.Int64
	routes, addresses := upstreams(t, map[string]string{"/other": "outbound|443||other.example.com"}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		others.Add(1)
		if r.Header.Get("authorization") != "" {
			leaked.Add(1)
		}
	}))
	in, address := upstreams(t, map[string]string{"/scoped": "outbound|443||api.example.com"}, sandbox.Echo)
	addresses["outbound|443||api.example.com"] = address["outbound|443||api.example.com"]
	p := start(t, envoytest.Setup{
		Filters: envoytest.Chain(envoytest.Filter(t, "jwtfetch", `{hosts: [api.example.com], upstream: {host: token.internal, port: 80},
			request: {path: /auth}, token: {json: /access_token}, lifetime: {fixed: 2s}, refresh: 1s}`)),
		Routes:    append(routes, in...),
		Upstreams: addresses,
	})
	to, toOther := p.Traffic(2, "/scoped", hasToken), p.Traffic(2, "/other", envoytest.OK)
	to.AtLeast(envoytest.Size(2000, 100_000))
	toOther.AtLeast(envoytest.Size(2000, 100_000))
	to.Stop()
	toOther.Stop()
	require.Zero(t, leaked.Load(), "of %d", others.Load())
	p.NeverTrapped()
}
