//go:build envoy

// Package sandbox tests internal/sandbox with a real Envoy.
package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
)

func TestProxyServesAndEnds(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	p := start(t, hello("a", 2, "one"), hello("b", 1, "two"))

	resp := get(t, p, "/status/404?x=y")
	require.Equal(t, 404, resp.status)
	require.Equal(t, []string{`{"v":"two"}`, `{"v":"one"}`}, resp.header["Hello"], "responses pass the chain backwards")
	var echoed sandbox.Request
	require.NoError(t, json.Unmarshal([]byte(resp.body), &echoed))
	require.Equal(t, "GET", echoed.Method)
	require.Equal(t, "/status/404?x=y", echoed.Path)
	require.Equal(t, strings.TrimPrefix(p.URL(), "http://"), echoed.Headers["host"])

	p.Stop()
	<-p.Done()
	left, err := os.ReadDir(tmp)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestApply(t *testing.T) {
	p := start(t, hello("a", 0, "one"))
	require.Equal(t, []string{`{"v":"one"}`}, get(t, p, "/").header["Hello"])
	url := p.URL()
	long := strings.Repeat("x", 50)
	other := hello("a", 0, "one")
	other.Module = withSection(other.Module, "x")

	for _, step := range []struct {
		name    string
		filters []sandbox.Filter
		refused string
		want    []string
	}{
		{"new configuration", []sandbox.Filter{hello("a", 0, "two")}, "", []string{`{"v":"two"}`}},
		{"the same again", []sandbox.Filter{hello("a", 0, "two")}, "", []string{`{"v":"two"}`}},
		{"refused", []sandbox.Filter{hello("a", 0, long)}, "ns.a: refused: hello: too long", []string{`{"v":"two"}`}},
		{"refused again", []sandbox.Filter{hello("a", 0, long)}, "ns.a: refused: hello: too long", []string{`{"v":"two"}`}},
		{"new configuration after a refusal", []sandbox.Filter{hello("a", 0, "one")}, "", []string{`{"v":"one"}`}},
		{"new module", []sandbox.Filter{other}, "", []string{`{"v":"one"}`}},
		{"no module", []sandbox.Filter{{Plugin: other.Plugin, Module: []byte("no module")}}, "ns.a: refused: Failed to parse corrupted Wasm module", []string{`{"v":"one"}`}},
		{"added", []sandbox.Filter{other, hello("b", 0, "b")}, "", []string{`{"v":"b"}`, `{"v":"one"}`}},
		{"another order", []sandbox.Filter{hello("b", 0, "b"), other}, "", []string{`{"v":"one"}`, `{"v":"b"}`}},
		{"another order and a configuration", []sandbox.Filter{other, hello("b", 0, "B")}, "", []string{`{"v":"B"}`, `{"v":"one"}`}},
		{"added but refused", []sandbox.Filter{other, hello("b", 0, "B"), hello("c", 0, long)}, "ns.c: refused: hello: too long", []string{`{"v":"B"}`, `{"v":"one"}`}},
		{"removed", []sandbox.Filter{hello("b", 0, "B")}, "", []string{`{"v":"B"}`}},
		{"back again", []sandbox.Filter{hello("b", 0, "B"), hello("a", 0, "again")}, "", []string{`{"v":"again"}`, `{"v":"B"}`}},
		{"added after it was refused", []sandbox.Filter{hello("c", 0, "c")}, "", []string{`{"v":"c"}`}},
		{"none", nil, "", nil},
	} {
		t.Run(step.name, func(t *testing.T) {
			begin := time.Now()
			refused, err := p.Apply(t.Context(), step.filters, nil)
			t.Logf("applied in %s", time.Since(begin))
			require.NoError(t, err)
			if step.refused == "" {
				require.Empty(t, refused)
			} else {
				require.Len(t, refused, 1)
				require.EqualError(t, refused[0], step.refused)
			}
			require.Equal(t, step.want, get(t, p, "/").header["Hello"])
			require.Equal(t, url, p.URL())
		})
	}
}

func TestStartRefused(t *testing.T) {
	_, err := sandbox.Start(t.Context(), sandbox.Config{Envoy: program(t), Backend: netip.MustParseAddrPort("127.0.0.1:9"), Filters: []sandbox.Filter{hello("a", 0, strings.Repeat("x", 50))}})
	var refused *sandbox.Refused
	require.ErrorAs(t, err, &refused)
	require.EqualError(t, err, "ns.a: refused: hello: too long")
}

func TestStartListenerRefused(t *testing.T) {
	_, err := sandbox.Start(t.Context(), sandbox.Config{Envoy: program(t), Backend: netip.MustParseAddrPort("127.0.0.1:9"), Routes: []*routev3.Route{envoy.Route("/", "nowhere")}})
	require.ErrorContains(t, err, "unknown cluster 'nowhere'")
}

func TestStartPortInUse(t *testing.T) {
	first := start(t)
	taken := netip.MustParseAddrPort(strings.TrimPrefix(first.URL(), "http://"))
	_, err := sandbox.Start(t.Context(), sandbox.Config{Envoy: program(t), Backend: taken, Listen: taken})
	require.ErrorContains(t, err, "address already in use")
}

func TestEnvoyEndsByItself(t *testing.T) {
	p := start(t, hello("a", 0, "one"))
	process, err := os.FindProcess(p.PID())
	require.NoError(t, err)
	require.NoError(t, process.Kill())
	<-p.Done()
	require.ErrorContains(t, p.Err(), "envoy ended (signal: killed)")
	_, err = p.Apply(t.Context(), nil, nil)
	require.Error(t, err)
}

func TestStartInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := sandbox.Start(ctx, sandbox.Config{Envoy: program(t), Backend: netip.MustParseAddrPort("127.0.0.1:9")})
	require.ErrorIs(t, err, context.Canceled)
}

func TestTokens(t *testing.T) {
	addr, stop, err := sandbox.Serve(sandbox.Tokens)
	require.NoError(t, err)
	defer stop()
	resp, err := http.Get(fmt.Sprintf("http://%s/auth", addr))
	require.NoError(t, err)
	defer resp.Body.Close()
	var body struct {
		Token   string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int    `json:"expires_in"`
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&body))
	require.Equal(t, "Bearer "+body.Token, resp.Header.Get("authorization"))
	require.Equal(t, "Bearer", body.Type)
	require.Equal(t, 300, body.Expires)
	require.Regexp(t, `^[\w-]+\.[\w-]+\.[\w-]+$`, body.Token)
}

// hello is the plugin of testdata/hello.wat.
func hello(name string, priority int, value string) sandbox.Filter {
	plugins, err := plugin.Plugins(map[string][]byte{"x.yaml": fmt.Appendf(nil, `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: %s, namespace: ns}
spec: {url: "oci://r/hello", pluginName: %s, priority: %d, pluginConfig: {v: %q}}`, name, name, priority, value)})
	if err != nil {
		panic(err)
	}
	module, err := os.ReadFile("testdata/hello.wasm")
	if err != nil {
		panic(err)
	}
	// Plugins with the same module share a VM, and this one keeps its configuration in a global.
	return sandbox.Filter{Plugin: plugins[0], Module: withSection(module, name)}
}

// withSection appends a custom section: other bytes, the same code.
func withSection(module []byte, name string) []byte {
	return append(append(module[:len(module):len(module)], 0, byte(len(name)+2), byte(len(name))), name+"\x00"...)
}

func program(t *testing.T) string {
	t.Helper()
	path, err := envoy.FindEnvoy()
	require.NoError(t, err)
	return path
}

func start(t *testing.T, filters ...sandbox.Filter) *sandbox.Proxy {
	t.Helper()
	backend, stop, err := sandbox.Serve(sandbox.Echo)
	require.NoError(t, err)
	t.Cleanup(stop)
	begin := time.Now()
	p, err := sandbox.Start(t.Context(), sandbox.Config{Envoy: program(t), Backend: backend, Filters: filters, Log: func(e envoy.LogEntry) {
		t.Logf("%s %s %s", e.Level, e.Logger, e.Message)
	}})
	require.NoError(t, err)
	t.Logf("ready in %s", time.Since(begin))
	t.Cleanup(p.Stop)
	return p
}

type answer struct {
	status int
	header http.Header
	body   string
}

func get(t *testing.T, p *sandbox.Proxy, path string) answer {
	t.Helper()
	// A connection of its own: an open one would still meet the old chain.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(p.URL() + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, resp.Header, string(body)}
}
