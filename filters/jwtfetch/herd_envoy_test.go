//go:build envoy

package main_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// fetchLog is a token service that remembers who asked when.
type fetchLog struct {
	mu  sync.Mutex
	log map[string][]time.Time
}

func (l *fetchLog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	l.log[r.Header.Get("x-proxy")] = append(l.log[r.Header.Get("x-proxy")], time.Now())
	l.mu.Unlock()
	sandbox.Tokens(w, r)
}

// take returns the log and forgets it.
func (l *fetchLog) take() map[string][]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	log := l.log
	l.log = map[string][]time.Time{}
	return log
}

// of is the log of a proxy.
func (l *fetchLog) of(proxy string) []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.log[proxy]
}

// Proxies of eight workers each start together, and again: each fetches once, and once for each refresh.
func TestNoHerd(t *testing.T) {
	t.Parallel()
	const workers, lifetime = 8, 2 * time.Second
	herd := envoytest.Size(3, 5)
	service := &fetchLog{log: map[string][]time.Time{}}
	var setups []envoytest.Setup
	for i := range herd {
		setups = append(setups, envoytest.Setup{Filters: envoytest.Chain(herdFilter(t, i, "true")), Services: tokens(service.ServeHTTP), Workers: workers})
	}
	for range 2 {
		proxies := envoytest.StartTogether(t, setups...)
		for _, p := range proxies {
			p.WhenServing()
		}
		time.Sleep(lifetime * 3 / 2)
		for _, p := range proxies {
			require.Equal(t, http.StatusOK, p.Get("/").Status)
			p.NeverTrapped()
			p.Stop()
		}
		log := service.take()
		require.Len(t, log, herd)
		for _, fetches := range log {
			require.GreaterOrEqual(t, len(fetches), 2, "no refresh")
			for i := 1; i < len(fetches); i++ {
				// A refresh comes after 65 % of the lifetime at the earliest. A herd would come at once, or with the next tick.
				require.Greater(t, fetches[i].Sub(fetches[i-1]), lifetime*40/100, "two fetches for one refresh: %v", fetches)
			}
		}
		t.Logf("%d proxies of %d workers, fetches: %v", len(log), workers, counts(log))
	}
}

// Proxies that get a configuration at once which needs a new token, while requests come, ask once each and deny nobody. (That they
// do not ask at once is in fetch_test.go: here the pushes are not at once, either.)
func TestNoHerdOnAPush(t *testing.T) {
	t.Parallel()
	const workers = 8
	herd := envoytest.Size(3, 5)
	service := &fetchLog{log: map[string][]time.Time{}}
	setups := make([]envoytest.Setup, herd)
	for i := range setups {
		setups[i] = envoytest.Setup{Filters: envoytest.Chain(herdFilter(t, i, "true")), Services: tokens(service.ServeHTTP), Workers: workers}
	}
	proxies := envoytest.StartTogether(t, setups...)
	var traffic []*envoytest.Traffic
	for _, p := range proxies {
		p.WhenServing()
		traffic = append(traffic, p.Traffic(2, "/", envoytest.OK))
	}
	service.take()
	var pushed sync.WaitGroup
	for i, p := range proxies {
		next := envoytest.Filter(t, "jwtfetch", fmt.Sprintf(`{hosts: ['*'], upstream: {host: token.internal, port: 80},
			request: {path: /new, headers: {x-proxy: "new %d"}}, token: {json: /access_token}, lifetime: {json: /expires_in}}`, i))
		pushed.Go(func() {
			if refused, err := p.Apply(t.Context(), envoytest.Chain(next), nil); err != nil || len(refused) > 0 {
				t.Error(refused, err)
			}
		})
	}
	pushed.Wait()
	for _, tr := range traffic {
		tr.AtLeast(200)
		tr.Stop()
	}
	var first, last time.Time
	for i := range proxies {
		fetches := service.of(fmt.Sprintf("new %d", i))
		require.Len(t, fetches, 1, "proxy %d", i)
		if first.IsZero() || fetches[0].Before(first) {
			first = fetches[0]
		}
		if fetches[0].After(last) {
			last = fetches[0]
		}
	}
	t.Logf("%d proxies of %d workers asked within %s", herd, workers, last.Sub(first))
	for _, p := range proxies {
		p.NeverTrapped()
	}
}

// The control: without sharing, each worker fetches for itself.
func TestWithoutSharingWorkersFetchEach(t *testing.T) {
	t.Parallel()
	const workers = 4
	service := &fetchLog{log: map[string][]time.Time{}}
	p := start(t, envoytest.Setup{Filters: envoytest.Chain(herdFilter(t, 0, "false")), Services: tokens(service.ServeHTTP), Workers: workers})
	p.WhenServing()
	require.Eventually(t, func() bool { return p.Stat(`wasmcustom\.wasm_filter\.[^.]+\.jwtfetch\.fetches\.total`) >= workers }, envoytest.Timeout, envoytest.Interval)
}

func herdFilter(t *testing.T, proxy int, share string) sandbox.Filter {
	return envoytest.Filter(t, "jwtfetch", fmt.Sprintf(`{hosts: ['*'], upstream: {host: token.internal, port: 80}, share: %s,
		request: {path: /auth, headers: {x-proxy: "%d"}}, token: {json: /access_token}, lifetime: {fixed: 2s}}`, share, proxy))
}

func counts(log map[string][]time.Time) (n []int) {
	for _, fetches := range log {
		n = append(n, len(fetches))
	}
	return n
}
