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

// clock is when the clocks of these tests begin. That of the module is the one of proxytest's wazero, which goes on by a millisecond
// each time it is read, and no other way; so what needs time to pass is tested in fetch_test.go and in "go" alone.
var clock = time.Date(2022, time.January, 1, 0, 0, 0, 0, time.UTC)

func newVM() types.VMContext {
	now := instant(clock.UnixMilli())
	return &vmContext{
		local:  map[string]*localStore{},
		now:    func() instant { now++; return now },
		random: newRandom(1),
	}
}

// newVMAt has a clock that the test sets, and no jitter.
func newVMAt(clock *time.Time) types.VMContext {
	return &vmContext{
		local:  map[string]*localStore{},
		now:    func() instant { return instant(clock.UnixMilli()) },
		random: func() uint32 { return 0 },
	}
}

// canary is a token that must not show where tokens do not belong.
var canary = jwt(`{"exp":4102444800,"canary":true}`)

// upstream is the cluster that the proxy of these tests chooses for a request.
const upstream = "outbound|443||api.example.com"

// start starts the plugin and lets it tick until the first fetch begins, which has some jitter: the clock of the Go contexts goes on,
// and that of the module goes on each time it is read.
func start(t *testing.T, vm types.VMContext, config string) (proxytest.HostEmulator, proxytest.HttpCalloutAttribute) {
	t.Helper()
	if !strings.Contains(config, `"hosts"`) {
		config = strings.Replace(config, "{", `{"hosts": ["api.example.com"],`, 1)
	}
	host, status := plugintest.Start(t, vm, []byte(config))
	require.Equal(t, types.OnPluginStartStatusOK, status)
	require.Empty(t, host.GetCalloutAttributesFromContext(proxytest.PluginContextID), "too early for a callout")
	require.EqualValues(t, firstTick, host.GetTickPeriod())
	require.NoError(t, host.SetProperty([]string{"xds", "cluster_name"}, []byte(upstream)))

	var callouts []proxytest.HttpCalloutAttribute
	for range 510 {
		if callouts = host.GetCalloutAttributesFromContext(proxytest.PluginContextID); len(callouts) > 0 {
			break
		}
		host.Tick()
	}
	require.Len(t, callouts, 1)
	require.EqualValues(t, busyPeriod, host.GetTickPeriod())
	host.Tick()
	require.Len(t, host.GetCalloutAttributesFromContext(proxytest.PluginContextID), 1, "one is in flight")
	return host, callouts[0]
}

// request sends a request with a header that only a client would send, and returns what is left of it for the upstream, or the
// filter's own answer, or neither when the filter holds it.
func request(t *testing.T, host proxytest.HostEmulator, header string) (upstream, response [][2]string, denied *proxytest.LocalHttpResponse) {
	t.Helper()
	id := send(host, header)
	action := host.GetCurrentHttpStreamAction(id)
	if denied = host.GetSentLocalResponse(id); denied != nil || action == types.ActionPause {
		require.Equal(t, types.ActionPause, action)
		return nil, nil, denied
	}
	require.Equal(t, types.ActionContinue, host.CallOnResponseHeaders(id, [][2]string{{":status", "200"}}, true))
	upstream, response = host.GetCurrentRequestHeaders(id), host.GetCurrentResponseHeaders(id)
	host.CompleteHttpContext(id)
	return upstream, response, nil
}

// send is request without what comes after the request's headers.
func send(host proxytest.HostEmulator, header string) (id uint32) {
	id = host.InitializeHttpContext()
	host.CallOnRequestHeaders(id, [][2]string{{":path", "/"}, {strings.ToUpper(header), "from the client"}}, false)
	return id
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

		held := send(host, "authorization")
		require.Equal(t, types.ActionPause, host.GetCurrentHttpStreamAction(held), "before the first token")

		host.CallOnHttpCallResponse(callout.CalloutID, headers("200"), nil, []byte(`{"access_token":"`+canary+`"}`))
		want := [][2]string{{":path", "/"}, {"authorization", "Bearer " + canary}}
		require.Equal(t, types.ActionContinue, host.GetCurrentHttpStreamAction(held), "with the first token")
		require.Equal(t, want, host.GetCurrentRequestHeaders(held))
		require.Nil(t, host.GetSentLocalResponse(held))
		require.EqualValues(t, tickPeriod, host.GetTickPeriod())
		upstream, response, _ := request(t, host, "authorization")
		require.Equal(t, want, upstream)
		require.Equal(t, [][2]string{{":status", "200"}}, response)

		requireMetrics(t, host, map[string]uint64{"fetches.total": 1})
		expiry, err := host.GetGaugeMetric(metricPrefix + "token.expiry.timestamp.seconds")
		require.NoError(t, err)
		require.InDelta(t, clock.Add(maxLifetime-usualMargin).Unix(), expiry, 1)
		success, err := host.GetGaugeMetric(metricPrefix + "last.success.timestamp.seconds")
		require.NoError(t, err)
		require.InDelta(t, clock.Unix(), success, 1)
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
		{name: "token too long", metric: "badtoken", headers: headers("200"), body: `{"access_token":"` + strings.Repeat("a", usualToken+1) + `"}`},
		{name: "expired", metric: "nolifetime", headers: headers("200"), body: `{"access_token":"` + jwt(`{"exp":1600000000}`) + `"}`},
		{name: "a time for a lifetime", metric: "nolifetime", headers: headers("200"), body: `{"access_token":"` + jwt(`{"exp":"1700000000"}`) + `"}`},
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
				held := send(host, "authorization")
				host.CallOnHttpCallResponse(callout.CalloutID, tt.headers, nil, []byte(tt.body))
				require.NotNil(t, host.GetSentLocalResponse(held), "who waits for it is denied, too")

				_, _, denied := request(t, host, "authorization")
				require.NotNil(t, denied)
				require.EqualValues(t, 503, denied.StatusCode)
				require.Equal(t, "jwtfetch: there is no valid token for this request\n", string(denied.Data))
				require.Equal(t, [][2]string{{"content-type", "text/plain"}}, denied.Headers)

				requireMetrics(t, host, map[string]uint64{"fetches.total": 1, "failures." + tt.metric + ".total": 1, "denied.total": 2})
				require.Len(t, host.GetWarnLogs(), 1)
				require.Contains(t, host.GetWarnLogs()[0], "jwtfetch: unnamed: outbound|80||token.internal: fetching token: ")
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
		id := send(host, "authorization")
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
		require.Equal(t, [][2]string{{":status", "200"}}, response, "onMissing is pass")

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
		"request": {"path": "/token", "timeout": "10ms"},
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

// Requests wait for a token that is on its way, but not for longer than the fetch may take, and not all that come.
func TestHold(t *testing.T) {
	const config = `{
		"upstream": {"host": "token.internal", "port": 80},
		"request": {"path": "/token", "timeout": "2s"},
		"token": {"header": "authorization"},
		"lifetime": {"fixed": "10s"}
	}`
	now := clock
	host, callout := start(t, newVMAt(&now), config)
	early := send(host, "authorization")
	now = now.Add(1900 * time.Millisecond)
	late := send(host, "authorization")
	host.Tick()
	require.Nil(t, host.GetSentLocalResponse(early))

	now = now.Add(100 * time.Millisecond)
	host.Tick()
	require.NotNil(t, host.GetSentLocalResponse(early), "after the timeout")
	require.Nil(t, host.GetSentLocalResponse(late), "its time is not over")

	for range maxHeld - 1 {
		require.Nil(t, host.GetSentLocalResponse(send(host, "authorization")))
	}
	require.NotNil(t, host.GetSentLocalResponse(send(host, "authorization")), "too many")

	host.CallOnHttpCallResponse(callout.CalloutID, headers("200", [2]string{"authorization", "first"}), nil, nil)
	require.Equal(t, types.ActionContinue, host.GetCurrentHttpStreamAction(late))
	require.Contains(t, host.GetCurrentRequestHeaders(late), [2]string{"authorization", "Bearer first"})
	require.Empty(t, host.GetErrorLogs())
	requireMetrics(t, host, map[string]uint64{"fetches.total": 1, "denied.total": 2})
}

// A token that another worker fetches is seen at the next tick.
func TestHoldForAnotherWorker(t *testing.T) {
	now := clock
	vm := newVMAt(&now)
	host, _ := start(t, vm, example)
	held := send(host, "authorization")

	config, err := parseConfig([]byte(example))
	require.NoError(t, err)
	r := record{token: token{"other", instant(now.UnixMilli()), instant(now.Add(time.Hour).UnixMilli())}}
	_, cas, err := proxywasm.GetSharedData(config.recordKey())
	require.NoError(t, err)
	require.NoError(t, proxywasm.SetSharedData(config.recordKey(), r.encode(), cas))
	host.Tick()
	require.Contains(t, host.GetCurrentRequestHeaders(held), [2]string{"authorization", "Bearer other"})
	require.Equal(t, types.ActionContinue, host.GetCurrentHttpStreamAction(held))
}

// Only the requests in scope get the token, lose their own header or are denied; all others are none of the filter's business.
func TestScope(t *testing.T) {
	plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
		host, callout := start(t, vm, `{
			"hosts": ["api.example.com", "*.example.net"],
			"paths": ["/v1/*", "/"],
			"upstream": {"host": "token.internal", "port": 80},
			"request": {"path": "/token"},
			"token": {"json": "/access_token"},
			"lifetime": {"fixed": "1h"},
			"exposeTokenToClients": {"header": "x-auth"}
		}`)
		host.CallOnHttpCallResponse(callout.CalloutID, headers("200"), nil, []byte(`{"access_token":"`+canary+`"}`))
		tests := []struct {
			cluster, authority, path string
			inScope                  bool
		}{
			{"outbound|443||api.example.com", "anything", "/", true},
			{"outbound|443||other.example.com", "api.example.com", "/", false},
			{"PassthroughCluster", "api.example.com", "/", false},
			{"outbound|443|v2|a.example.net", "x", "/v1/a?b", true},
			{"outbound|443|v2|a.example.net", "x", "/v2/a", false},
			{"outbound|443||*.example.com", "api.example.com:443", "/", true},
			{"outbound|443||*.example.com", "evil.example.com", "/", false},
		}
		for _, tt := range tests {
			require.NoError(t, host.SetProperty([]string{"xds", "cluster_name"}, []byte(tt.cluster)))
			id := host.InitializeHttpContext()
			own := [2]string{"authorization", "the application's own"}
			require.Equal(t, types.ActionContinue, host.CallOnRequestHeaders(id, [][2]string{{":authority", tt.authority}, {":path", tt.path}, own}, false))
			host.CallOnRequestTrailers(id, [][2]string{own})
			host.CallOnResponseHeaders(id, [][2]string{{":status", "200"}}, true)
			if tt.inScope {
				require.Equal(t, [2]string{"authorization", "Bearer " + canary}, host.GetCurrentRequestHeaders(id)[2], tt)
				require.Contains(t, host.GetCurrentResponseHeaders(id), [2]string{"x-auth", canary}, tt)
			} else {
				require.Equal(t, own, host.GetCurrentRequestHeaders(id)[2], tt)
				require.Equal(t, [][2]string{{":status", "200"}}, host.GetCurrentResponseHeaders(id), tt)
			}
			host.CompleteHttpContext(id)
		}
		require.Empty(t, host.GetErrorLogs())
	})
}

// Without a variable the start is not refused: that would answer 500 to all traffic of the next pod, in scope or not.
func TestMissingVariable(t *testing.T) {
	plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
		host, status := plugintest.Start(t, vm, []byte(strings.Replace(example, `"request"`,
			`"clientAuth":{"method":"basic","id":"app","secretEnv":"NO_SUCH_SECRET"},"request"`, 1)))
		require.Equal(t, types.OnPluginStartStatusOK, status)
		for range 510 {
			host.Tick()
		}
		require.NoError(t, host.SetProperty([]string{"xds", "cluster_name"}, []byte(upstream)))
		_, _, denied := request(t, host, "authorization")
		require.NotNil(t, denied)
		require.NoError(t, host.SetProperty([]string{"xds", "cluster_name"}, []byte("outbound|443||other.example.com")))
		_, _, denied = request(t, host, "authorization")
		require.Nil(t, denied, "not in scope")

		require.Contains(t, host.GetWarnLogs()[0], `jwtfetch: unnamed: outbound|80||token.internal: fetching token: the environment of the filter has no variable "NO_SUCH_SECRET".`)
		missing, err := host.GetGaugeMetric(metricPrefix + "missing.NO_SUCH_SECRET")
		require.NoError(t, err)
		require.EqualValues(t, 1, missing)
		require.Empty(t, host.GetCalloutAttributesFromContext(proxytest.PluginContextID))
	})
}

// A plugin that is replaced leaves its token to the next, also where workers do not share.
func TestLocalStoreSurvivesThePlugin(t *testing.T) {
	t.Parallel()
	vm := newVMContext()
	s := vm.localStore("key", record{failures: 1})
	require.EqualValues(t, 1, decodeRecord(s.value).failures)
	require.Same(t, s, vm.localStore("key", record{failures: 2}))
	require.NotSame(t, s, vm.localStore("another", record{}))
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
			log:    `jwtfetch: parsing plugin configuration: /token: want exactly one of "header", "json" and "text"`,
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

// metricPrefix is of an object that the emulator gives no name.
const metricPrefix = "wasm_filter.unnamed.jwtfetch."

// requireMetrics requires these values of the counters, and zero of all others.
func requireMetrics(t *testing.T, host proxytest.HostEmulator, want map[string]uint64) {
	t.Helper()
	got := map[string]uint64{}
	for _, name := range []string{
		"fetches.total", "failures.notsent.total", "failures.nosecret.total", "failures.noanswer.total", "failures.badstatus.total", "failures.toolarge.total",
		"failures.notoken.total", "failures.badtoken.total", "failures.nolifetime.total", "denied.total",
	} {
		value, err := host.GetCounterMetric(metricPrefix + name)
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
