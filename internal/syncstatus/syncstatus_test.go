package syncstatus

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	addheader = "sha256:b1e36f1790f8b5019fb33e25f8d962921d0cee1d10b273f9bf57094feff63c1e"
	jwtfetch  = "sha256:252dcb2a34e499f58ba044112e0bef0ef6abf9c99d72440cb31325a030f14b33"
)

// The folders hold what a sidecar, its agent and istiod said in the end-to-end tests, less what is not read. Those tests also hold
// the answers against what a client sees.
func TestRead(t *testing.T) {
	for name, want := range map[string]struct {
		addheader, jwtfetch State
		digest, reason      string
	}{
		"good":    {Running, Running, addheader, ""},
		"refused": {Refused, Unproven, addheader, "Unable to create Wasm plugin web-dev.addheader"},
		"masked":  {Unproven, Unproven, addheader, "refused since the proxy began to run: 1 times"},
		"failing": {Failing, Unproven, addheader, "Unable to create Wasm plugin web-dev.addheader"},
		"passing": {Passing, Running, "", "manifest_failure 1"},
		"denying": {Denying, Running, "", "manifest_failure 2"},
		"removed": {"", Running, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := load(t, name)
			a, ok := s.Filter("web-dev.addheader")
			require.Equal(t, want.addheader != "", ok)
			require.Equal(t, want.addheader, a.State)
			require.Equal(t, want.digest, a.Digest)
			if want.reason == "" {
				require.Empty(t, a.Reason)
			}
			require.Contains(t, a.Reason, want.reason)
			j, ok := s.Filter("web-dev.jwtfetch")
			require.True(t, ok)
			require.Equal(t, want.jwtfetch, j.State)
			require.Equal(t, jwtfetch, j.Digest)
			require.Equal(t, name == "good" || name == "removed", s.OK())
		})
	}
}

// Another push makes istiod and Envoy forget a refusal; an earlier look does not.
func TestSince(t *testing.T) {
	changed, refused, masked, again := load(t, "changed"), load(t, "refused"), load(t, "masked"), load(t, "again")
	state := func(s Status, name string) State {
		f, ok := s.Filter("web-dev." + name)
		require.True(t, ok)
		return f.State
	}
	refused = refused.Since(changed)
	require.Equal(t, Refused, state(refused, "addheader"))
	require.Equal(t, Running, state(refused, "jwtfetch"), "it only came together with the other")
	masked = masked.Since(refused)
	require.Equal(t, Refused, state(masked, "addheader"))
	require.Equal(t, Running, state(masked, "jwtfetch"))
	again = again.Since(masked)
	require.Equal(t, Running, state(again, "addheader"))
	require.True(t, again.OK())

	restarted := load(t, "failing").Since(again)
	require.Equal(t, Unproven, state(restarted, "jwtfetch"), "nothing is known of another Envoy")
	require.Equal(t, Unproven, state(load(t, "masked").Since(changed), "addheader"), "it may have been refused in between")
}

func TestReadErrors(t *testing.T) {
	for name, change := range map[string]func(*Signals){
		"listeners of web.web-dev":  func(s *Signals) { s.Listeners = nil },
		"extensions of web.web-dev": func(s *Signals) { s.Extensions = []byte("[") },
		"istiod on web.web-dev":     func(s *Signals) { s.Syncz = []byte("[]") },
		"uptime of web.web-dev":     func(s *Signals) { s.Server = []byte("{}") },
		`want a Wasm filter`: func(s *Signals) {
			s.Extensions = []byte(strings.ReplaceAll(string(s.Extensions), "wasm.v3.Wasm", "lua.v3.Lua"))
		},
	} {
		s := signals(t, "good")
		change(&s)
		_, err := Read(s)
		require.ErrorContains(t, err, name)
	}
	s := signals(t, "good")
	s.Extensions = []byte("{}")
	status, err := Read(s)
	require.NoError(t, err)
	require.Equal(t, Waiting, status.Filters[0].State)
}

func TestCollect(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.URL.String()))
	}))
	defer server.Close()
	s, err := Collect(context.Background(), server.Client(), Addresses{Envoy: server.URL, Agent: server.URL, Istiod: server.URL, Proxy: "x"})
	require.NoError(t, err)
	require.Equal(t, "/config_dump?resource=ecds_filters", string(s.Extensions))
	require.Equal(t, "/stats/prometheus", string(s.Agent))
	_, err = Collect(context.Background(), server.Client(), Addresses{Envoy: "http://127.0.0.1:1", Proxy: "x"})
	require.ErrorContains(t, err, "asking for the state of x")
}

func load(t *testing.T, name string) Status {
	t.Helper()
	s, err := Read(signals(t, name))
	require.NoError(t, err)
	return s
}

func signals(t *testing.T, name string) Signals {
	t.Helper()
	file := func(file string) []byte {
		b, err := os.ReadFile(filepath.Join("testdata", name, file))
		require.NoError(t, err)
		return b
	}
	taken, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(string(file("time"))))
	require.NoError(t, err)
	return Signals{
		Proxy: "web.web-dev", Time: taken, Server: file("server.json"),
		Listeners: file("listeners.json"), Extensions: file("extensions.json"), Stats: file("stats.txt"), Agent: file("agent.txt"), Syncz: file("syncz.json"),
	}
}
