package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/wasmfleet/wasmfleet/filters/internal/plugintest"
)

// clock is the time of the Go contexts. The module's is the one of proxytest's wazero, which stands at the first of January 2022
// but for a millisecond each time it is read; so what needs time to pass is tested in fetch_test.go and in "go" alone.
var clock = time.Date(2022, time.January, 1, 0, 0, 0, 0, time.UTC)

func newVM() types.VMContext { return newVMAt(&clock) }

func newVMAt(clock *time.Time) types.VMContext {
	return &vmContext{
		now:    func() instant { return instant(clock.UnixMilli()) },
		random: newRandom(1),
	}
}

// canary is a token that must not show where tokens do not belong.
var canary = jwt(`{"exp":4102444800,"canary":true}`)

// start starts the plugin and lets it tick once, which begins the first fetch.
func start(t *testing.T, vm types.VMContext, config string) (proxytest.HostEmulator, proxytest.HttpCalloutAttribute) {
	t.Helper()
	host, status := plugintest.Start(t, vm, []byte(config))
	require.Equal(t, types.OnPluginStartStatusOK, status)
	require.Empty(t, host.GetCalloutAttributesFromContext(proxytest.PluginContextID), "too early for a callout")
	require.EqualValues(t, firstTick, host.GetTickPeriod())

	host.Tick()
	require.EqualValues(t, tickPeriod, host.GetTickPeriod())
	callouts := host.GetCalloutAttributesFromContext(proxytest.PluginContextID)
	require.Len(t, callouts, 1)
	host.Tick()
	require.Len(t, host.GetCalloutAttributesFromContext(proxytest.PluginContextID), 1, "one is in flight")
	return host, callouts[0]
}

// request sends a request with a header that only a client would send, and returns what is left of it for the upstream, or the
// filter's own answer.
func request(t *testing.T, host proxytest.HostEmulator, header string) (upstream, response [][2]string, denied *proxytest.LocalHttpResponse) {
	t.Helper()
	id := host.InitializeHttpContext()
	action := host.CallOnRequestHeaders(id, [][2]string{{":path", "/"}, {strings.ToUpper(header), "from the client"}}, false)
	if denied = host.GetSentLocalResponse(id); denied != nil {
		require.Equal(t, types.ActionPause, action)
		return nil, nil, denied
	}
	require.Equal(t, types.ActionContinue, action)
	require.Equal(t, types.ActionContinue, host.CallOnResponseHeaders(id, [][2]string{{":status", "200"}}, true))
	upstream, response = host.GetCurrentRequestHeaders(id), host.GetCurrentResponseHeaders(id)
	host.CompleteHttpContext(id)
	return upstream, response, nil
}

func TestTokenReachesTheUpstream(t *testing.T) {
	plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
		host, callout := start(t, vm, `{
			"upstream": {"host": "token.internal", "port": 8080},
			"request": {"method": "POST", "path": "/token", "headers": {"X-Client": "me"}, "body": "scope=read"},
			"token": {"json": "/access_token"},
			"lifetime": {"jwt": true}
		}`)
		require.Equal(t, "outbound|8080||token.internal", callout.Upstream)
		require.Equal(t, [][2]string{{":method", "POST"}, {":path", "/token"}, {":authority", "token.internal:8080"}, {"x-client", "me"}}, callout.Headers)
		require.Equal(t, "scope=read", string(callout.Body))

		_, _, denied := request(t, host, "authorization")
		require.NotNil(t, denied, "before the first token")

		host.CallOnHttpCallResponse(callout.CalloutID, headers("200"), nil, []byte(`{"access_token":"`+canary+`"}`))
		upstream, response, _ := request(t, host, "authorization")
		require.Equal(t, [][2]string{{":path", "/"}, {"authorization", "Bearer " + canary}}, upstream)
		require.Equal(t, [][2]string{{":status", "200"}}, response)

		requireMetrics(t, host, map[string]uint64{"fetches.total": 1, "denied.total": 1})
		expiry, err := host.GetGaugeMetric("jwtfetch.token.expiry.timestamp.seconds")
		require.NoError(t, err)
		require.EqualValues(t, clock.Add(maxLifetime-usualMargin).Unix(), expiry)
		requireNoToken(t, host)
	})
}

func TestCalloutFails(t *testing.T) {
	tests := []struct {
		name, metric string
		headers      [][2]string
		body         string
	}{
		{name: "no answer", metric: "noanswer"},
		{name: "unauthorized", metric: "badstatus", headers: headers("401"), body: `{"access_token":"` + canary + `"}`},
		{name: "service down, as Envoy says", metric: "badstatus", headers: headers("503"), body: "upstream connect error"},
		{name: "empty body", metric: "notoken", headers: headers("200")},
		{name: "garbage", metric: "notoken", headers: headers("200"), body: "\x00\xff{"},
		{name: "deep", metric: "notoken", headers: headers("200"), body: strings.Repeat(`{"access_token":`, 4000)},
		{name: "too large", metric: "toolarge", headers: headers("200"), body: strings.Repeat(" ", maxBody+1)},
		{name: "no token", metric: "notoken", headers: headers("200"), body: `{}`},
		{name: "token with a line break", metric: "badtoken", headers: headers("200"), body: `{"access_token":"` + canary + `\r\nx-admin: 1"}`},
		{name: "token too long", metric: "badtoken", headers: headers("200"), body: `{"access_token":"` + strings.Repeat("a", maxToken+1) + `"}`},
		{name: "expired", metric: "nolifetime", headers: headers("200"), body: `{"access_token":"` + jwt(`{"exp":1600000000}`) + `"}`},
		{name: "no JWT", metric: "nolifetime", headers: headers("200"), body: `{"access_token":"` + strings.ReplaceAll(canary, ".", "") + `"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
				host, callout := start(t, vm, `{
					"upstream": {"host": "token.internal", "port": 80},
					"request": {"path": "/token"},
					"token": {"json": "/access_token"},
					"lifetime": {"jwt": true}
				}`)
				host.CallOnHttpCallResponse(callout.CalloutID, tt.headers, nil, []byte(tt.body))

				_, _, denied := request(t, host, "authorization")
				require.NotNil(t, denied)
				require.EqualValues(t, 503, denied.StatusCode)
				require.Equal(t, "jwtfetch: there is no valid token for this request\n", string(denied.Data))
				require.Equal(t, [][2]string{{"content-type", "text/plain"}}, denied.Headers)

				requireMetrics(t, host, map[string]uint64{"fetches.total": 1, "failures." + tt.metric + ".total": 1, "denied.total": 1})
				require.Len(t, host.GetWarnLogs(), 1)
				require.Contains(t, host.GetWarnLogs()[0], "jwtfetch: fetching token: ")
				requireNoToken(t, host)
			})
		})
	}
}

func TestPassWithoutToken(t *testing.T) {
	plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
		host, callout := start(t, vm, `{
			"upstream": {"host": "token.internal", "port": 80},
			"request": {"path": "/token"},
			"token": {"header": "x-token"},
			"lifetime": {"fixed": "300s"},
			"header": "X-Upstream-Auth",
			"prefix": "",
			"onMissing": "pass",
			"share": false
		}`)
		upstream, _, denied := request(t, host, "x-upstream-auth")
		require.Nil(t, denied)
		require.Equal(t, [][2]string{{":path", "/"}}, upstream, "the client's header must not pass either")

		host.CallOnHttpCallResponse(callout.CalloutID, headers("200", [2]string{"x-token", "Bearer " + canary}), nil, nil)
		upstream, _, _ = request(t, host, "x-upstream-auth")
		require.Equal(t, [][2]string{{":path", "/"}, {"x-upstream-auth", canary}}, upstream)
	})
}

func TestHeaderInTrailers(t *testing.T) {
	plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
		host, _ := start(t, vm, example)
		id := host.InitializeHttpContext()
		require.Equal(t, types.ActionContinue, host.CallOnRequestTrailers(id, [][2]string{{"Authorization", "from the client"}, {"x", "y"}}))
		// The emulator has no accessor for trailers, but answers the SDK's hostcalls in this context.
		trailers, err := proxywasm.GetHttpRequestTrailers()
		require.NoError(t, err)
		require.Equal(t, [][2]string{{"x", "y"}}, trailers)
	})
}

// TestArticle does what the article does that these filters go back to: every 15 seconds it takes the authorization of /auth, and
// clients see it as x-auth.
func TestArticle(t *testing.T) {
	config, err := os.ReadFile("testdata/config/ok/article.json")
	require.NoError(t, err)
	plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
		host, callout := start(t, vm, string(config))
		require.Equal(t, [][2]string{{":method", "GET"}, {":path", "/auth"}, {":authority", "auth.default.svc.cluster.local"}}, callout.Headers)

		_, response, _ := request(t, host, "authorization")
		require.Equal(t, [][2]string{{":status", "200"}}, response)

		host.CallOnHttpCallResponse(callout.CalloutID, [][2]string{{":status", "200"}, {"authorization", "a-token"}}, nil, nil)
		_, response, _ = request(t, host, "authorization")
		require.Equal(t, [][2]string{{":status", "200"}, {"x-auth", "a-token"}}, response)
	})
}

// TestTimePasses is in "go" alone: the clock of proxytest's wazero stands still.
func TestTimePasses(t *testing.T) {
	now := clock
	host, callout := start(t, newVMAt(&now), `{
		"upstream": {"host": "token.internal", "port": 80},
		"request": {"path": "/token"},
		"token": {"header": "authorization"},
		"lifetime": {"fixed": "10s"}
	}`)
	answer := headers("200", [2]string{"authorization", "first"})
	host.CallOnHttpCallResponse(callout.CalloutID, answer, nil, nil)

	now = now.Add(6 * time.Second)
	host.Tick()
	require.Len(t, host.GetCalloutAttributesFromContext(proxytest.PluginContextID), 1, "not due before 72 % of its lifetime")

	now = now.Add(2 * time.Second)
	host.Tick()
	callouts := host.GetCalloutAttributesFromContext(proxytest.PluginContextID)
	require.Len(t, callouts, 2, "due after 88 %")
	host.CallOnHttpCallResponse(callouts[1].CalloutID, headers("500"), nil, nil)
	upstream, _, _ := request(t, host, "authorization")
	require.Contains(t, upstream, [2]string{"authorization", "Bearer first"}, "the old token is still valid")

	now = now.Add(time.Second)
	_, _, denied := request(t, host, "authorization")
	require.NotNil(t, denied, "an expired token is never sent")
}

func TestOnPluginStartRefuses(t *testing.T) {
	tests := []struct{ name, config, log string }{
		{
			name: "an absent configuration",
			log:  `jwtfetch: parsing plugin configuration: want a configuration such as ` + example,
		},
		{
			name:   "two places for the token",
			config: strings.Replace(example, `"/access_token"`, `"/access_token","header":"authorization"`, 1),
			log:    `jwtfetch: parsing plugin configuration: /token: want exactly one of "header" and "json"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
				host, status := plugintest.Start(t, vm, []byte(tt.config))
				require.Equal(t, types.OnPluginStartStatusFailed, status)
				require.Equal(t, []string{tt.log}, host.GetCriticalLogs())
			})
		})
	}
}

// requireMetrics requires these values of the counters, and zero of all others.
func requireMetrics(t *testing.T, host proxytest.HostEmulator, want map[string]uint64) {
	t.Helper()
	got := map[string]uint64{}
	for _, name := range []string{
		"fetches.total", "failures.notsent.total", "failures.noanswer.total", "failures.badstatus.total", "failures.toolarge.total",
		"failures.notoken.total", "failures.badtoken.total", "failures.nolifetime.total", "denied.total",
	} {
		value, err := host.GetCounterMetric("jwtfetch." + name)
		require.NoError(t, err)
		if value != 0 {
			got[name] = value
		}
	}
	require.Equal(t, want, got)
}

// requireNoToken looks for tokens in all that was logged.
func requireNoToken(t *testing.T, host proxytest.HostEmulator) {
	t.Helper()
	for _, logs := range [][]string{
		host.GetTraceLogs(), host.GetDebugLogs(), host.GetInfoLogs(), host.GetWarnLogs(), host.GetErrorLogs(), host.GetCriticalLogs(),
	} {
		for _, line := range logs {
			for part := range strings.SplitSeq(canary, ".") {
				require.NotContains(t, line, part)
			}
		}
	}
}
