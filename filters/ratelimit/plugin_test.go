package main

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/wasmfleet/wasmfleet/filters/internal/plugintest"
)

// newVM has a clock that stands. That of the module goes on by a millisecond each time it is read.
func newVM() types.VMContext { return newVMAt(new(instant)) }

func newVMAt(clock *instant) types.VMContext {
	return &vmContext{now: func() instant { return at(0) + *clock }, random: func() uint64 { return 42 }}
}

func start(t *testing.T, vm types.VMContext, config string) proxytest.HostEmulator {
	t.Helper()
	host, status := plugintest.Start(t, vm, []byte(config))
	require.Equal(t, types.OnPluginStartStatusOK, status)
	return host
}

// request returns the answer in place of the upstream's, or nil.
func request(t *testing.T, host proxytest.HostEmulator, headers ...[2]string) *proxytest.LocalHttpResponse {
	t.Helper()
	id := host.InitializeHttpContext()
	action := host.CallOnRequestHeaders(id, headers, true)
	answer := host.GetSentLocalResponse(id)
	if answer == nil {
		require.Equal(t, types.ActionContinue, action)
		require.Equal(t, headers, host.GetCurrentRequestHeaders(id))
	} else {
		require.Equal(t, types.ActionPause, action)
		require.EqualValues(t, 429, answer.StatusCode)
	}
	return answer
}

func TestLimitOfAHeader(t *testing.T) {
	plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
		host := start(t, vm, `{"requests":2,"per":"1h","client":{"header":"x-who"}}`)
		for _, who := range []string{"a", "b", ""} {
			header := [2]string{"x-who", who}
			if who == "" {
				header = [2]string{"accept", "*/*"} // all without the header are one client
			}
			require.Nil(t, request(t, host, header), who)
			require.Nil(t, request(t, host, header), who)
			answer := request(t, host, header)
			require.NotNil(t, answer, who)
			require.Len(t, answer.Headers, 2)
			require.Equal(t, "retry-after", answer.Headers[1][0])
			seconds, err := strconv.Atoi(answer.Headers[1][1])
			require.NoError(t, err)
			require.InDelta(t, 1800, seconds, 1)
			require.Contains(t, string(answer.Data), "ratelimit: too many requests. try again in 1")
		}
		for name, want := range map[string]uint64{"limited": 3, "crowded": 0, "failed": 0} {
			got, err := host.GetCounterMetric("wasm_filter.unnamed.ratelimit." + name + ".total")
			require.NoError(t, err)
			require.Equal(t, want, got, name)
		}
	})
}

func TestLimitOfAnAddress(t *testing.T) {
	plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
		host := start(t, vm, `{"requests":2,"per":"1h","client":{"address":true}}`)
		from := func(address string) *proxytest.LocalHttpResponse {
			require.NoError(t, host.SetProperty([]string{"source", "address"}, []byte(address)))
			return request(t, host, [2]string{":path", "/"})
		}
		require.Nil(t, from("192.0.2.1:1"))
		require.Nil(t, from("192.0.2.1:2"))
		require.NotNil(t, from("192.0.2.1:3"), "another port is the same client")
		require.Nil(t, from("192.0.2.2:1"))
		require.Nil(t, from("[2001:db8::1]:1"))
		require.Nil(t, from("[2001:db8::2]:1"))
		require.NotNil(t, from("[2001:db8::3]:1"), "another address of the network is the same client")
		require.Nil(t, from("[2001:db8:0:1::3]:1"))
	})
}

// The module's clock cannot be set, so time passes as Go alone.
func TestTimePasses(t *testing.T) {
	clock := new(instant)
	path := [2]string{":path", "/"}
	host := start(t, newVMAt(clock), `{"requests":1,"per":"10s","client":{"address":true}}`)
	require.Nil(t, request(t, host, path))
	*clock = 9500 * second / 1000
	require.Equal(t, [2]string{"retry-after", "1"}, request(t, host, path).Headers[1], "rounded up")
	*clock = -3600 * second
	require.Equal(t, [2]string{"retry-after", "10"}, request(t, host, path).Headers[1], "the clock was set back")
	*clock += 10 * second
	require.Nil(t, request(t, host, path))
}

func TestOnPluginStartRefuses(t *testing.T) {
	plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
		host, status := plugintest.Start(t, vm, nil)
		require.Equal(t, types.OnPluginStartStatusFailed, status)
		require.Equal(t, []string{"ratelimit: parsing plugin configuration: want a configuration such as " + example}, host.GetCriticalLogs())
	})
}
