package envoytest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
)

// Proxy is an Envoy for one test.
type Proxy struct {
	*sandbox.Proxy
	T *testing.T // whose failure it is: a subtest may put itself here

	mu  sync.Mutex
	log []envoy.LogEntry
}

// Response is what a client got.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// client takes a connection for each request, so that requests reach all workers and the newest filter chain.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// Get sends a request with headers, given as name and value in turn.
func (p *Proxy) Get(path string, headers ...string) Response {
	p.T.Helper()
	r, err := Get(p.T.Context(), p.URL()+path, headers...)
	require.NoError(p.T, err)
	return r
}

// Get sends a request with headers, given as name and value in turn, on a connection of its own.
func Get(ctx context.Context, url string, headers ...string) (Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return Response{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return do(req)
}

func do(req *http.Request) (Response, error) {
	resp, err := client.Do(req)
	if err != nil {
		return Response{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return Response{resp.StatusCode, resp.Header, string(body)}, err
}

// Upstream is the request as it reached the echo backend.
func (r Response) Upstream(t *testing.T) sandbox.Request {
	t.Helper()
	var request sandbox.Request
	require.Equal(t, http.StatusOK, r.Status, r.Body)
	require.NoError(t, json.Unmarshal([]byte(r.Body), &request), r.Body)
	return request
}

// Switch puts another chain into service; none of its filters may be refused.
func (p *Proxy) Switch(filters ...sandbox.Filter) {
	p.T.Helper()
	refused, err := p.Apply(p.T.Context(), filters, nil)
	require.NoError(p.T, err)
	require.Empty(p.T, refused)
}

// Refuses wants the chain refused and returns why.
func (p *Proxy) Refuses(filters ...sandbox.Filter) string {
	p.T.Helper()
	refused, err := p.Apply(p.T.Context(), filters, nil)
	require.NoError(p.T, err)
	require.Len(p.T, refused, 1)
	return refused[0].Reason
}

// WhenServing returns the first response of status 200: a filter that calls a service needs a moment.
func (p *Proxy) WhenServing() Response {
	p.T.Helper()
	var last Response
	require.Eventually(p.T, func() bool {
		last = p.Get("/")
		return last.Status == http.StatusOK
	}, Timeout, 2*Interval)
	return last
}

// Stat is the sum of the counters whose name matches the whole pattern.
func (p *Proxy) Stat(pattern string) (sum int) {
	p.T.Helper()
	stats, err := p.Stats(context.WithoutCancel(p.T.Context()), "^("+pattern+")$")
	require.NoError(p.T, err)
	for _, value := range stats {
		sum += value
	}
	return sum
}

// Post posts to Envoy's admin interface.
func (p *Proxy) Post(path string) string {
	p.T.Helper()
	req, err := http.NewRequestWithContext(p.T.Context(), http.MethodPost, p.Admin()+path, nil)
	require.NoError(p.T, err)
	r, err := do(req)
	require.NoError(p.T, err)
	require.Equal(p.T, http.StatusOK, r.Status, r.Body)
	return r.Body
}

var trap = regexp.MustCompile(`Uncaught RuntimeError|proxy_on_\w+ failed`)

// NeverTrapped wants no trap in any VM so far.
func (p *Proxy) NeverTrapped() {
	p.T.Helper()
	require.NotRegexp(p.T, trap, p.Logged())
	require.Zero(p.T, p.Stat(`wasm\..*\.vm_reload(_success|_backoff|_failure)?`), "a VM was started anew")
}

func (p *Proxy) remember(e envoy.LogEntry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, e)
}

// Logged is everything that Envoy and the filters have logged.
func (p *Proxy) Logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, e := range p.log {
		fmt.Fprintf(&b, "%s %s %s: %s\n", e.Level, e.Logger, e.Plugin, e.Message)
	}
	return b.String()
}

// Logs waits until that was logged: the log comes through a pipe and may be behind.
func (p *Proxy) Logs(text string) {
	p.T.Helper()
	require.Eventually(p.T, func() bool { return strings.Contains(p.Logged(), text) }, Timeout, Interval, "not logged: %s", text)
}

var resident = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// Memory is Envoy's resident memory in bytes; 0 where there is no /proc.
func (p *Proxy) Memory() int {
	p.T.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if os.IsNotExist(err) {
		return 0
	}
	require.NoError(p.T, err)
	match := resident.FindSubmatch(status)
	require.NotNil(p.T, match)
	kB, err := strconv.Atoi(string(match[1]))
	require.NoError(p.T, err)
	return kB * 1024
}
