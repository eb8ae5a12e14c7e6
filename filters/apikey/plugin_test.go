package main

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/wasmfleet/wasmfleet/filters/internal/plugintest"
)

func newVM() types.VMContext { return &vmContext{} }

// The keys of these tests. They must not show anywhere.
const (
	webKey = "canary-web-key"
	oldKey = "canary-old-key"
)

func hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

var settings = `{"consumers":[{"name":"batch","sha256":["` + hash("batch") + `"]},{"name":"web","sha256":["` +
	strings.ToUpper(hash(webKey)) + `","` + hash(oldKey) + `"]}],"open":["/healthz","/public/*"]}`

func start(t *testing.T, vm types.VMContext) proxytest.HostEmulator {
	t.Helper()
	host, status := plugintest.Start(t, vm, []byte(settings))
	require.Equal(t, types.OnPluginStartStatusOK, status)
	return host
}

func TestOnHttpRequestHeaders(t *testing.T) {
	path := [2]string{":path", "/orders"}
	open := [2]string{":path", "/public/a?b"}
	other := [2]string{"accept", "*/*"}
	tests := []struct {
		name         string
		in, upstream [][2]string
		denied       string
	}{
		{
			name:     "a key",
			in:       [][2]string{path, {"x-api-key", webKey}, other},
			upstream: [][2]string{path, other, {"x-consumer", "web"}},
		},
		{
			name:     "the other key of the consumer, and a name that the client made up",
			in:       [][2]string{path, {"X-Api-Key", oldKey}, {"X-Consumer", "admin"}, {"x_consumer", "admin"}},
			upstream: [][2]string{path, {"x-consumer", "web"}},
		},
		{
			name:     "an open path",
			in:       [][2]string{open, {"x-consumer", "admin"}, {"x_consumer", "admin"}},
			upstream: [][2]string{open},
		},
		{
			name:     "an open path with a key",
			in:       [][2]string{open, {"x-api-key", webKey}},
			upstream: [][2]string{open, {"x-consumer", "web"}},
		},
		{
			name:     "an open path with a key that is not known",
			in:       [][2]string{open, {"x-api-key", "canary-other"}},
			upstream: [][2]string{open},
		},
		{name: "no key", in: [][2]string{path, {"x-consumer", "web"}}, denied: `apikey: this request needs a key in the header "x-api-key"`},
		{name: "an empty key", in: [][2]string{path, {"x-api-key", ""}}, denied: `apikey: this request needs a key in the header "x-api-key"`},
		{name: "another key", in: [][2]string{path, {"x-api-key", "canary-other"}}, denied: `apikey: the key in the header "x-api-key" is not known`},
		{name: "the hash of a key", in: [][2]string{path, {"x-api-key", hash(webKey)}}, denied: `apikey: the key in the header "x-api-key" is not known`},
		{name: "a way out of an open path", in: [][2]string{{":path", "/public/%2e%2e/orders"}}, denied: `apikey: this request needs a key in the header "x-api-key"`},
		{name: "no path", in: [][2]string{other}, denied: `apikey: this request needs a key in the header "x-api-key"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
				host := start(t, vm)
				id := host.InitializeHttpContext()
				action := host.CallOnRequestHeaders(id, tt.in, true)
				if tt.denied == "" {
					require.Equal(t, types.ActionContinue, action)
					require.Nil(t, host.GetSentLocalResponse(id))
					require.Equal(t, tt.upstream, host.GetCurrentRequestHeaders(id))
				} else {
					require.Equal(t, types.ActionPause, action)
					answer := host.GetSentLocalResponse(id)
					require.NotNil(t, answer)
					require.EqualValues(t, 401, answer.StatusCode)
					require.Equal(t, tt.denied+"\n", string(answer.Data))
					require.Equal(t, [][2]string{{"content-type", "text/plain"}, {"cache-control", "no-store"}, {"www-authenticate", `ApiKey header="x-api-key"`}}, answer.Headers)
				}
				requireNoKey(t, host)
			})
		})
	}
}

// requireNoKey wants no key in what was logged.
func requireNoKey(t *testing.T, host proxytest.HostEmulator) {
	t.Helper()
	for _, logs := range [][]string{host.GetTraceLogs(), host.GetDebugLogs(), host.GetInfoLogs(), host.GetWarnLogs(), host.GetErrorLogs(), host.GetCriticalLogs()} {
		require.NotContains(t, strings.Join(logs, "\n"), "canary")
	}
}

// The emulator shows trailers to the filter alone, so one that looks at them stands in front of it. There is no such module.
type trailersVM struct {
	vmContext
	seen *[][2]string
}

func (v *trailersVM) NewPluginContext(uint32) types.PluginContext {
	return &trailersPlugin{seen: v.seen}
}

type trailersPlugin struct {
	pluginContext
	seen *[][2]string
}

func (p *trailersPlugin) NewHttpContext(uint32) types.HttpContext {
	return &trailersHTTP{&p.http, p.seen}
}

type trailersHTTP struct {
	types.HttpContext
	seen *[][2]string
}

func (h *trailersHTTP) OnHttpRequestTrailers(n int) types.Action {
	action := h.HttpContext.OnHttpRequestTrailers(n)
	*h.seen, _ = proxywasm.GetHttpRequestTrailers()
	return action
}

func TestTrailers(t *testing.T) {
	var seen [][2]string
	host := start(t, &trailersVM{seen: &seen})
	id := host.InitializeHttpContext()
	require.Equal(t, types.ActionContinue, host.CallOnRequestHeaders(id, [][2]string{{":path", "/public/"}}, false))
	require.Equal(t, types.ActionContinue, host.CallOnRequestTrailers(id, [][2]string{{"x-consumer", "admin"}, {"x_consumer", "admin"}, {"x-api-key", webKey}, {"x-sum", "1"}}))
	require.Equal(t, [][2]string{{"x-sum", "1"}}, seen)
}

func TestMetrics(t *testing.T) {
	plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
		host := start(t, vm)
		for _, key := range []string{"", "a", "b", webKey} {
			host.CallOnRequestHeaders(host.InitializeHttpContext(), [][2]string{{":path", "/"}, {"x-api-key", key}}, true)
		}
		for name, want := range map[string]uint64{"missing": 1, "unknown": 2, "broken": 0} {
			got, err := host.GetCounterMetric("wasm_filter.unnamed.apikey.denied." + name + ".total")
			require.NoError(t, err)
			require.Equal(t, want, got, name)
		}
	})
}

// What a refused configuration says has no key, if somebody puts it there instead of its hash.
func TestOnPluginStartRefuses(t *testing.T) {
	plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
		host, status := plugintest.Start(t, vm, []byte(`{"consumers":[{"name":"web","sha256":["`+webKey+`"]}]}`))
		require.Equal(t, types.OnPluginStartStatusFailed, status)
		require.Len(t, host.GetCriticalLogs(), 1)
		require.Contains(t, host.GetCriticalLogs()[0], "apikey: parsing plugin configuration: /consumers/0/sha256/0: want the SHA-256 of a key")
		requireNoKey(t, host)
	})
}
