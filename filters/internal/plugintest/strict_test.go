package plugintest

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// The contexts of a filter that does with headers and body as the test says.
type (
	testVM struct {
		types.DefaultVMContext
		http *testHTTP
	}
	testPlugin struct {
		types.DefaultPluginContext
		http *testHTTP
	}
	testHTTP struct {
		types.DefaultHttpContext
		headers, body func() types.Action
		sizes         []int
	}
)

func (v *testVM) NewPluginContext(uint32) types.PluginContext    { return &testPlugin{http: v.http} }
func (p *testPlugin) NewHttpContext(uint32) types.HttpContext    { return p.http }
func (h *testHTTP) OnHttpRequestHeaders(int, bool) types.Action  { return h.headers() }
func (h *testHTTP) OnHttpResponseHeaders(int, bool) types.Action { return h.headers() }
func (h *testHTTP) OnHttpResponseBody(int, bool) types.Action    { return h.body() }
func (h *testHTTP) OnHttpRequestBody(n int, _ bool) types.Action {
	h.sizes = append(h.sizes, n)
	return h.body()
}

func always(a types.Action) func() types.Action { return func() types.Action { return a } }

func startStrict(t *testing.T, http *testHTTP) (host proxytest.HostEmulator, failed *string) {
	host, status := Start(t, &testVM{http: http}, nil)
	require.Equal(t, types.OnPluginStartStatusOK, status)
	failed = new(string)
	host.(*strict).fatalf = func(format string, args ...any) { *failed = fmt.Sprintf(format, args...) }
	return host, failed
}

// What waits for good in Envoy fails here, with the reason.
func TestPauseInHeadersKeepsTheBodyBack(t *testing.T) {
	for name, tc := range map[string]struct {
		call func(host proxytest.HostEmulator, id uint32)
		want string
	}{
		"request": {func(host proxytest.HostEmulator, id uint32) {
			host.CallOnRequestHeaders(id, nil, false)
			host.CallOnRequestBody(id, []byte("x"), true)
		}, "OnHttpRequestHeaders returned ActionPause and nothing has resumed the stream, so Envoy does not call OnHttpRequestBody"},
		"response": {func(host proxytest.HostEmulator, id uint32) {
			host.CallOnResponseHeaders(id, nil, false)
			host.CallOnResponseBody(id, []byte("x"), true)
		}, "OnHttpResponseHeaders returned ActionPause and nothing has resumed the stream, so Envoy does not call OnHttpResponseBody"},
	} {
		t.Run(name, func(t *testing.T) {
			host, failed := startStrict(t, &testHTTP{headers: always(types.ActionPause), body: always(types.ActionContinue)})
			tc.call(host, host.InitializeHttpContext())
			require.Contains(t, *failed, tc.want)
		})
	}
}

// A filter that holds headers gets the body.
func TestStopIteration(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("plugin.yaml", []byte("name: mine\nstopIteration: headers # until the body was judged\n"), 0o644))
	host, failed := startStrict(t, &testHTTP{headers: always(types.ActionPause), body: always(types.ActionContinue)})
	id := host.InitializeHttpContext()
	host.CallOnRequestHeaders(id, nil, false)
	host.CallOnRequestBody(id, []byte("x"), true)
	require.Empty(t, *failed)
}

func TestBodyComes(t *testing.T) {
	http := &testHTTP{headers: always(types.ActionContinue), body: always(types.ActionPause)}
	host, failed := startStrict(t, http)
	id := host.InitializeHttpContext()
	host.CallOnRequestHeaders(id, nil, false)
	host.CallOnRequestBody(id, []byte("ab"), false)
	host.CallOnRequestBody(id, []byte("c"), true)
	require.Empty(t, *failed)
	require.Equal(t, []int{2, 3}, http.sizes, "the size is that of the whole buffer")
}

func TestSourceAddressHasAPort(t *testing.T) {
	var address []byte
	host, _ := startStrict(t, &testHTTP{headers: func() types.Action {
		address, _ = proxywasm.GetProperty([]string{"source", "address"})
		return types.ActionContinue
	}})
	host.CallOnRequestHeaders(host.InitializeHttpContext(), nil, true)
	require.Regexp(t, `^\d+\.\d+\.\d+\.\d+:\d+$`, string(address))
}
