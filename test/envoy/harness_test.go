// Package envoy tests the compiled filters in a real Envoy. A test starts a proxy with filters and talks to it:
//
//	p := start(t, setup{filters: chain(addheader(t, `{name: hello, value: world}`))})
//	require.Equal(t, "world", p.get("/").header.Get("hello"))
//
// short_test.go has the sizes for every "make test", soak_test.go those for "make soak".
//
// Everything listens on the loopback and ends with the test. When a test fails, Envoy's log is shown.
package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	istio "github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
)

const root = "../.."

// tokenCluster is what a filter calls for the upstream {host: token.internal, port: 80}.
var tokenCluster = envoy.OutboundCluster("token.internal", 80)

// setup is what a test wants beside the defaults.
type setup struct {
	filters []sandbox.Filter // in the order of the chain
	backend http.Handler     // sandbox.Echo
	tokens  http.Handler     // sandbox.Tokens, as the service token.internal, port 80
	noToken bool             // nobody listens where token.internal should be
	routes  []*routev3.Route // tried before the backend
	workers int              // 2
	envoy   string           // path of the program; the pinned one

	tokensAt  netip.AddrPort            // a token service that is there already
	upstreams map[string]netip.AddrPort // more clusters, by name
}

// chain is for readability: the order of its arguments is the order of the chain.
func chain(filters ...sandbox.Filter) []sandbox.Filter { return filters }

// addheader is the compiled filter with a configuration in YAML.
func addheader(t *testing.T, config string) sandbox.Filter { return filter(t, "addheader", config) }

// jwtfetch is the compiled filter with a configuration in YAML, its upstream being the setup's token service.
func jwtfetch(t *testing.T, config string) sandbox.Filter {
	return filter(t, "jwtfetch", "{upstream: {host: token.internal, port: 80}, request: {path: /auth}, "+strings.TrimPrefix(config, "{"))
}

// filter is build/NAME.wasm as a WasmPlugin of that name, with a configuration in YAML and FAIL_RELOAD, as our manifests have it.
func filter(t *testing.T, name, config string) sandbox.Filter {
	t.Helper()
	return sandbox.Filter{Plugin: plugin(t, name, config), Module: module(t, name)}
}

func plugin(t *testing.T, name, config string) *istio.Plugin {
	t.Helper()
	plugins, err := istio.Plugins(map[string][]byte{name + ".yaml": fmt.Appendf(nil, `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: %s, namespace: test}
spec: {url: "filter://%[1]s", pluginName: %[1]s, failStrategy: FAIL_RELOAD, pluginConfig: %[2]s}`, name, config)})
	require.NoError(t, err)
	return plugins[0]
}

// module is build/NAME.wasm.
func module(t *testing.T, name string) []byte {
	t.Helper()
	module, err := os.ReadFile(filepath.Join(root, "build", name+".wasm"))
	require.NoError(t, err, `run "make build", or the tests with "make test"`)
	return module
}

// otherBytes is a module with the same code and another digest: a custom section is appended.
func otherBytes(module []byte, name string) []byte {
	return append(append(module[:len(module):len(module)], 0, byte(len(name)+2), byte(len(name))), name+"\x00"...)
}

// proxy is an Envoy for one test.
type proxy struct {
	*sandbox.Proxy
	t *testing.T

	mu  sync.Mutex
	log []envoy.LogEntry
}

// start returns when the proxy serves.
func start(t *testing.T, s setup) *proxy {
	t.Helper()
	return startTogether(t, s)[0]
}

// startTogether returns when all the proxies serve, which start at the same time.
func startTogether(t *testing.T, setups ...setup) []*proxy {
	t.Helper()
	proxies := make([]*proxy, len(setups))
	errs := make([]error, len(setups))
	var started sync.WaitGroup
	for i, s := range setups {
		p := &proxy{t: t}
		proxies[i] = p
		config := s.config(t)
		config.Log = p.remember
		started.Go(func() { p.Proxy, errs[i] = sandbox.Start(t.Context(), config) })
		t.Cleanup(func() {
			if p.Proxy != nil {
				p.Stop()
			}
			if t.Failed() {
				t.Logf("Envoy's log:\n%s", p.logged())
			}
		})
	}
	started.Wait()
	require.NoError(t, errors.Join(errs...))
	return proxies
}

// config starts the services that the setup does not bring.
func (s setup) config(t *testing.T) sandbox.Config {
	t.Helper()
	if s.backend == nil {
		s.backend = sandbox.Echo
	}
	if s.tokens == nil {
		s.tokens = sandbox.Tokens
	}
	if s.envoy == "" {
		s.envoy = findEnvoy(t)
	}
	tokens := s.tokensAt
	switch {
	case s.noToken:
		tokens = nobody(t)
	case !tokens.IsValid():
		tokens = serve(t, s.tokens)
	}
	upstreams := map[string]netip.AddrPort{tokenCluster: tokens}
	maps.Copy(upstreams, s.upstreams)
	return sandbox.Config{
		Envoy:     s.envoy,
		Backend:   serve(t, s.backend),
		Filters:   s.filters,
		Upstreams: upstreams,
		Routes:    s.routes,
		Workers:   s.workers,
		LogLevel:  "info",
	}
}

func findEnvoy(t *testing.T) string {
	t.Helper()
	envoy, err := envoy.FindEnvoy()
	require.NoError(t, err)
	return envoy
}

// serve serves h until the test ends.
func serve(t *testing.T, h http.Handler) netip.AddrPort {
	t.Helper()
	address, stop, err := sandbox.Serve(h)
	require.NoError(t, err)
	t.Cleanup(stop)
	return address
}

// nobody is an address that refuses connections.
func nobody(t *testing.T) netip.AddrPort {
	t.Helper()
	address, stop, err := sandbox.Serve(http.NotFoundHandler())
	require.NoError(t, err)
	stop()
	return address
}

// response is what a client got.
type response struct {
	status int
	header http.Header
	body   string
}

// client takes a connection for each request, so that requests reach all workers and the newest filter chain.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// get sends a request with headers, given as name and value in turn.
func (p *proxy) get(path string, headers ...string) response {
	p.t.Helper()
	r, err := get(p.t.Context(), p.URL()+path, headers...)
	require.NoError(p.t, err)
	return r
}

func get(ctx context.Context, url string, headers ...string) (response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return response{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return response{resp.StatusCode, resp.Header, string(body)}, err
}

// upstream is the request as it reached the echo backend.
func (r response) upstream(t *testing.T) sandbox.Request {
	t.Helper()
	var request sandbox.Request
	require.Equal(t, http.StatusOK, r.status, r.body)
	require.NoError(t, json.Unmarshal([]byte(r.body), &request), r.body)
	return request
}

// apply puts another chain into service; none of its filters may be refused.
func (p *proxy) apply(filters ...sandbox.Filter) {
	p.t.Helper()
	refused, err := p.Apply(p.t.Context(), filters, nil)
	require.NoError(p.t, err)
	require.Empty(p.t, refused)
}

// refuses wants the chain refused and returns why.
func (p *proxy) refuses(filters ...sandbox.Filter) string {
	p.t.Helper()
	refused, err := p.Apply(p.t.Context(), filters, nil)
	require.NoError(p.t, err)
	require.Len(p.t, refused, 1)
	return refused[0].Reason
}

// whenServing returns the first response of status 200: a filter that fetches needs a moment.
func (p *proxy) whenServing() response {
	p.t.Helper()
	var last response
	require.Eventually(p.t, func() bool {
		last = p.get("/")
		return last.status == http.StatusOK
	}, 10*time.Second, 10*time.Millisecond)
	return last
}

// stat is the sum of the counters whose name matches the whole pattern.
func (p *proxy) stat(pattern string) (sum int) {
	p.t.Helper()
	stats, err := p.Stats(context.WithoutCancel(p.t.Context()), "^("+pattern+")$")
	require.NoError(p.t, err)
	for _, value := range stats {
		sum += value
	}
	return sum
}

var trap = regexp.MustCompile(`Uncaught RuntimeError|proxy_on_\w+ failed`)

// neverTrapped wants no trap in any VM so far.
func (p *proxy) neverTrapped() {
	p.t.Helper()
	require.NotRegexp(p.t, trap, p.logged())
	require.Zero(p.t, p.stat(`wasm\..*\.vm_reload(_success|_backoff|_failure)?`), "a VM was started anew")
}

func (p *proxy) remember(e envoy.LogEntry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, e)
}

// logged is everything that Envoy and the filters have logged.
func (p *proxy) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, e := range p.log {
		fmt.Fprintf(&b, "%s %s %s: %s\n", e.Level, e.Logger, e.Plugin, e.Message)
	}
	return b.String()
}

// logs waits until that was logged: the log comes through a pipe and may be behind.
func (p *proxy) logs(text string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool { return strings.Contains(p.logged(), text) }, 5*time.Second, 5*time.Millisecond, "not logged: %s", text)
}

var resident = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// memory is Envoy's resident memory in bytes; 0 where there is no /proc.
func (p *proxy) memory() int {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if os.IsNotExist(err) {
		return 0
	}
	require.NoError(p.t, err)
	match := resident.FindSubmatch(status)
	require.NotNil(p.t, match)
	kB, err := strconv.Atoi(string(match[1]))
	require.NoError(p.t, err)
	return kB * 1024
}

// What a test waits for takes milliseconds on a machine that has nothing else to do.
const (
	timeout  = 20 * time.Second
	interval = 5 * time.Millisecond
)
