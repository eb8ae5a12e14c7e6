//go:build envoy

package main_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

func ratelimit(t *testing.T, config string) sandbox.Filter {
	t.Helper()
	return envoytest.Filter(t, "ratelimit", config)
}

// metric is the sum of a counter over all objects.
func metric(p *envoytest.Proxy, name string) int {
	return p.Stat(`wasmcustom\..*ratelimit\.` + name + `\.total`)
}

// counter counts what the answers of a Traffic are.
type counter struct{ passed, limited atomic.Int64 }

func (c *counter) check(a envoytest.Answer) error {
	switch a.StatusCode {
	case http.StatusOK:
		c.passed.Add(1)
	case http.StatusTooManyRequests:
		c.limited.Add(1)
	default:
		return fmt.Errorf("want 200 or 429, got %d: %s", a.StatusCode, a.Text)
	}
	return nil
}

// Many clients at once, over several workers, get exactly the burst: no token is given twice, and none is lost.
func TestBucketIsExactOverWorkers(t *testing.T) {
	for _, workers := range []int{2, 4} {
		t.Run(strconv.Itoa(workers)+" workers", func(t *testing.T) {
			p := envoytest.Start(t, envoytest.Setup{Workers: workers, Filters: envoytest.Chain(ratelimit(t, `{requests: 3000, per: 24h, client: {header: x-who}}`))})
			// Connections that are kept, each with its worker, which is where the workers race; and new ones.
			var all, fresh counter
			begin := time.Now()
			traffic := p.Traffic(16, "/", all.check, "x-who: web")
			more := p.Traffic(8, "/", fresh.check, "x-who: web", "connection: close")
			traffic.AtLeast(envoytest.Size(4000, 300_000))
			traffic.Stop()
			more.Stop()
			passed := all.passed.Load() + fresh.passed.Load()
			require.GreaterOrEqual(t, passed, int64(3000))
			// A token comes back every 28.8 s.
			back := int64(time.Since(begin) / (28800 * time.Millisecond))
			require.LessOrEqual(t, passed, 3000+back, "of %d requests", traffic.Requests()+more.Requests())
			require.EqualValues(t, all.limited.Load()+fresh.limited.Load(), metric(p, "limited"))
			require.Zero(t, metric(p, "failed"))
			require.Zero(t, metric(p, "crowded"))
			p.NeverTrapped()
		})
	}
}

// Under load for some seconds a client gets its rate, no more and no less.
func TestRate(t *testing.T) {
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(ratelimit(t, `{requests: 50, per: 1s, burst: 10, client: {header: x-who}}`))})
	var web, batch counter
	begin := time.Now()
	first := p.Traffic(4, "/", web.check, "x-who: web")
	second := p.Traffic(4, "/", batch.check, "x-who: batch")
	time.Sleep(envoytest.Size(2*time.Second, 30*time.Second))
	first.Stop()
	second.Stop()
	most := 10 + 50*time.Since(begin).Seconds()
	for _, c := range []*counter{&web, &batch} {
		require.LessOrEqual(t, float64(c.passed.Load()), most+1)
		require.Greater(t, float64(c.passed.Load()), 0.7*most)
	}
	p.NeverTrapped()
}

func TestAnswer(t *testing.T) {
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(ratelimit(t, `{requests: 1, per: 2s, client: {address: true}}`))})
	require.Equal(t, 200, p.Get("/").Status)
	got := p.Get("/")
	require.Equal(t, 429, got.Status)
	require.Regexp(t, `^[12]$`, got.Header.Get("retry-after"))
	require.Regexp(t, `^ratelimit: too many requests. try again in [12] s\n$`, got.Body)
	seconds, err := strconv.Atoi(got.Header.Get("retry-after"))
	require.NoError(t, err)
	time.Sleep(time.Duration(seconds) * time.Second)
	require.Equal(t, 200, p.Get("/").Status, "who waits as long as it says gets through")
}

// A client is an address without its port: each request here has a connection of its own. Envoy takes the address of x-forwarded-for where it
// is told to, as it is in these tests.
func TestAddress(t *testing.T) {
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(ratelimit(t, `{requests: 3, per: 24h, client: {address: true}}`))})
	passes := func(addresses ...string) (n int) {
		for _, a := range addresses {
			var headers []string
			if a != "" {
				headers = []string{"x-forwarded-for", a}
			}
			if p.Get("/", headers...).Status == 200 {
				n++
			}
		}
		return n
	}
	require.Equal(t, 3, passes("", "", "", "", ""), "from the loopback, on five ports")
	require.Equal(t, 3, passes("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.1"))
	require.Equal(t, 3, passes("192.0.2.2", "192.0.2.2", "192.0.2.2", "192.0.2.2"))
	require.Equal(t, 3, passes("2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::3", "2001:db8::4"), "a network of IPv6")
	require.Equal(t, 3, passes("2001:db8:0:1::1", "2001:db8:0:1::1", "2001:db8:0:1::1", "2001:db8:0:1::1"), "another network")
	p.NeverTrapped()
}

// However many names a client invents, they never get more than the table has buckets, and one for all the others.
func TestClientsAreBounded(t *testing.T) {
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(ratelimit(t, `{requests: 1, per: 24h, client: {header: x-who}, clients: 8}`))})
	require.Equal(t, 200, p.Get("/", "x-who", "regular").Status)
	passed := 0
	many := envoytest.Size(300, 10_000)
	for i := range many {
		if p.Get("/", "x-who", strings.Repeat("x", i%50)+strconv.Itoa(i)).Status == 200 {
			passed++
		}
	}
	require.Equal(t, 8, passed, "seven buckets, and that of the others")
	require.Equal(t, many-7, metric(p, "crowded"))
	require.Equal(t, 429, p.Get("/", "x-who", "regular").Status, "nobody was put out for them")
	p.NeverTrapped()
}

// Another limit is no new start for who has used up the old one, and a table that grows works.
func TestChangeOfTheConfiguration(t *testing.T) {
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(ratelimit(t, `{requests: 10, per: 24h, client: {header: x-who}}`))})
	passes := func(who string, of int) (n int) {
		for range of {
			if p.Get("/", "x-who", who).Status == 200 {
				n++
			}
		}
		return n
	}
	require.Equal(t, 10, passes("a", 12))
	p.Switch(ratelimit(t, `{requests: 5, per: 24h, client: {header: x-who}}`))
	require.Zero(t, passes("a", 5))
	require.Equal(t, 5, passes("b", 12))
	p.Switch(ratelimit(t, `{requests: 7, per: 24h, client: {header: x-who}, clients: 5000}`))
	require.Equal(t, 7, passes("c", 12))
	require.Contains(t, p.Refuses(ratelimit(t, `{requests: 0, per: 24h, client: {header: x-who}}`)), "/requests: want a whole number from 1")
	require.Zero(t, passes("c", 5))
	p.NeverTrapped()
}

// Two objects of the filter in one proxy each have their buckets, also for the same client.
func TestTwoObjects(t *testing.T) {
	few := sandbox.Filter{Plugin: envoytest.Plugin(t, "few", `{requests: 2, per: 24h, client: {header: x-who}}`), Module: envoytest.Module(t, "ratelimit")}
	more := sandbox.Filter{Plugin: envoytest.Plugin(t, "more", `{requests: 3, per: 24h, client: {header: x-group}}`), Module: envoytest.Module(t, "ratelimit")}
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(few, more)})
	var got []int
	for _, who := range []string{"a", "a", "a", "b", "b", "c"} {
		got = append(got, p.Get("/", "x-who", who, "x-group", "a").Status)
	}
	require.Equal(t, []int{200, 200, 429, 200, 429, 429}, got)
}
