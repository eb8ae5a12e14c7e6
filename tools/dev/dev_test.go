package dev

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
)

func TestRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"":                           "dev: want one filter\n",
		"a b":                        "dev: want one filter\n",
		"a --listen x":               `dev: --listen "x": want an IP address and a port`,
		"a --page 192.0.2.1:80":      `dev: --page "192.0.2.1:80": the playground runs what it is told, so it listens on the loopback alone`,
		"a --root ../../test/nobody": `dev: unknown filter "a"`,
	} {
		var out, errs strings.Builder
		require.Equal(t, cli.ExitUsage, Command().Main(strings.Fields(args), &out, &errs), "%s: %s", args, &errs)
		require.Contains(t, errs.String(), want)
		require.Empty(t, out.String())
	}
}

// The page answers itself alone.
func TestOnlyHere(t *testing.T) {
	h := onlyHere(netip.MustParseAddrPort("127.0.0.1:8081"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "yes") }))
	for name, tc := range map[string]struct {
		method, host string
		header       []string
		want         int
	}{
		"itself":              {"GET", "127.0.0.1:8081", nil, 200},
		"by its other name":   {"GET", "localhost:8081", []string{"Origin", "http://localhost:8081"}, 200},
		"a rebound name":      {"GET", "evil.test:8081", nil, 403},
		"another port":        {"GET", "127.0.0.1:8082", nil, 403},
		"no host":             {"GET", "", nil, 403},
		"another page":        {"POST", "127.0.0.1:8081", []string{"Origin", "http://evil.test", "Content-Type", "application/json"}, 403},
		"a page of a file":    {"POST", "127.0.0.1:8081", []string{"Origin", "null", "Content-Type", "application/json"}, 403},
		"another local page":  {"POST", "127.0.0.1:8081", []string{"Origin", "http://127.0.0.1:3000", "Content-Type", "application/json"}, 403},
		"a picture elsewhere": {"GET", "127.0.0.1:8081", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another name of it":  {"GET", "127.0.0.1:8081", []string{"Origin", "http://localhost:8081"}, 403},
		"a form":              {"POST", "127.0.0.1:8081", []string{"Content-Type", "text/plain"}, 415},
		"its own question":    {"POST", "127.0.0.1:8081", []string{"Origin", "http://127.0.0.1:8081", "Content-Type", "application/json", "Sec-Fetch-Site", "same-origin"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, "/", nil)
			r.Host = tc.host
			for i := 0; i+1 < len(tc.header); i += 2 {
				r.Header.Set(tc.header[i], tc.header[i+1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, tc.want, w.Code)
			if tc.want == 200 {
				require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
			} else {
				require.NotContains(t, w.Body.String(), "yes")
			}
		})
	}
}

// A request that passes a, is answered by b, and never comes to c.
func TestTraced(t *testing.T) {
	r := newRecorder("b")
	r.say = func(string, ...any) {}
	r.chain([]string{"a", "b", "c"})
	for _, tap := range []sandbox.Tap{
		{Place: 0, Request: "1", Headers: headers{":method": {"GET"}, ":path": {"/x"}, "gone": {"1"}, "same": {"1", "2"}}},
		{Place: 1, Request: "1", Headers: headers{":method": {"GET"}, ":path": {"/y"}, "new": {"2"}, "same": {"1", "2"}}},
		{Place: 3, Request: "1", Out: true, Headers: headers{":status": {"403"}}},
		{Place: 2, Request: "1", Out: true, Headers: headers{":status": {"403"}, "c": {"1"}}},
		{Place: 1, Request: "1", Out: true, Headers: headers{":status": {"403"}, "c": {"1"}}},
		{Place: 0, Request: "1", Out: true, Headers: headers{":status": {"404"}, "c": {"1"}}},
	} {
		r.passed(tap)
	}
	got := r.find("1")
	require.Equal(t, "GET /x", got.Name)
	require.Equal(t, "404", got.Status)
	require.Equal(t, []step{
		{"a", "passed", []change{{":path", []string{"/x"}, []string{"/y"}}, {"gone", []string{"1"}, nil}, {"new", nil, []string{"2"}}}, []change{{":status", []string{"403"}, []string{"404"}}}},
		{"b", "answered", nil, nil},
		{"c", "not reached", nil, []change{{"c", nil, []string{"1"}}}},
	}, got.Steps)
	require.Nil(t, r.find("2"))
}

func TestWaiting(t *testing.T) {
	in := func(place int, id string) sandbox.Tap {
		return sandbox.Tap{Place: place, Request: id, Headers: headers{":method": {"GET"}, ":path": {"/" + id}}}
	}
	const late = waitsLong + 100*time.Millisecond
	for name, tc := range map[string]struct {
		taps           []sandbox.Tap
		missed, active int
		after          time.Duration
		want           string
	}{
		"with the first filter":  {[]sandbox.Tap{in(0, "x")}, 0, 1, late, "a: GET /x waits in this filter for 5 s. OnHttpRequestHeaders returned ActionPause"},
		"with the second":        {[]sandbox.Tap{in(0, "x"), in(1, "x")}, 0, 1, late, "b: GET /x waits"},
		"with the upstream":      {[]sandbox.Tap{in(0, "x"), in(1, "x"), in(2, "x")}, 0, 1, late, ""},
		"on its way out":         {[]sandbox.Tap{in(0, "x"), {Place: 1, Request: "x", Out: true}}, 0, 1, late, "a: GET /x waits in this filter for 5 s. OnHttpResponseHeaders"},
		"not for long":           {[]sandbox.Tap{in(0, "x")}, 0, 1, time.Second, ""},
		"its client has gone":    {[]sandbox.Tap{in(0, "x")}, 0, 0, late, ""},
		"the newer one hangs":    {[]sandbox.Tap{in(0, "old"), in(0, "x")}, 1, 1, 0, "a: GET /x hangs"},
		"a worker does not come": {[]sandbox.Tap{in(0, "x")}, 1, 1, late, "a: GET /x hangs: OnHttpRequestHeaders does not return"},
	} {
		t.Run(name, func(t *testing.T) {
			var said strings.Builder
			r := newRecorder("a")
			r.say = func(format string, args ...any) { fmt.Fprintf(&said, format, args...) }
			r.chain([]string{"a", "b"})
			for _, tap := range tc.taps {
				r.passed(tap)
			}
			if tc.after == 0 { // the first one was said to wait before
				r.exchanges[0].warned = true
				tc.after = late
			}
			r.waiting(time.Now().Add(tc.after), tc.missed, tc.active)
			require.True(t, strings.HasPrefix(said.String(), tc.want) && (tc.want != "" || said.Len() == 0), said.String())
			require.Equal(t, tc.missed > 0, r.hanging() != "")
			before := said.String()
			r.waiting(time.Now().Add(tc.after), tc.missed, tc.active)
			require.Equal(t, before, said.String(), "once")
		})
	}
}

// A trap in two filters' chain is said with the one whose panic was heard, or else the one that has the request.
func TestTrapped(t *testing.T) {
	var said strings.Builder
	r := newRecorder("mine")
	r.say = func(format string, args ...any) { fmt.Fprintf(&said, format, args...) }
	r.chain([]string{"other", "mine"})
	r.passed(sandbox.Tap{Request: "1", Headers: headers{":method": {"PUT"}, ":path": {"/t"}}})
	r.trapped("Function: proxy_on_request_headers failed: Uncaught RuntimeError: memory access out of bounds\nProxy-Wasm plugin in-VM backtrace:\n  0:  0x10 - main.deep\n")
	require.Equal(t, "other: trap in OnHttpRequestHeaders: memory access out of bounds\n  request: PUT /t", said.String())
	require.Equal(t, "failed", r.find("1").Steps[0].Fate)
}
