package envoy

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoyconfig"
)

func TestAddheaderOnEveryResponse(t *testing.T) {
	p := start(t, setup{
		filters: chain(addheader(t, `{name: hello, value: world}`)),
		noToken: true,
		routes:  []*routev3.Route{envoyconfig.DirectResponse("/direct", 200, "from Envoy"), envoyconfig.Route("/nowhere", tokenCluster)},
	})
	for _, tc := range []struct {
		path   string
		status int
	}{
		{"/", 200},
		{"/status/204", 204},
		{"/status/404", 404},
		{"/status/500", 500},
		{"/direct", 200},
		{"/nowhere", 503}, // Envoy's own answer
	} {
		t.Run(tc.path, func(t *testing.T) {
			got := p.get(tc.path)
			require.Equal(t, tc.status, got.status)
			require.Equal(t, []string{"world"}, got.header.Values("hello"))
		})
	}
	p.neverTrapped()
}

// The configuration reaches the filter in the bytes that istiod makes: a value with <, > and & arrives as it was written.
func TestAddheaderGetsTheExactValue(t *testing.T) {
	value := `a<b>&"c"\ ;=`
	p := start(t, setup{filters: chain(addheader(t, fmt.Sprintf("{name: hello, value: %q}", value)))})
	require.Equal(t, value, p.get("/").header.Get("hello"))
}

func TestAddheaderReplacesTheUpstreamsHeader(t *testing.T) {
	p := start(t, setup{
		filters: chain(addheader(t, `{name: hello, value: world}`)),
		backend: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("hello", "upstream") }),
	})
	require.Equal(t, []string{"world"}, p.get("/").header.Values("hello"))
}

// Configuration and module change while requests are served, and none of them fails.
func TestSwapLosesNoRequest(t *testing.T) {
	p := start(t, setup{filters: chain(addheader(t, `{name: hello, value: v0}`))})
	var requests, failed atomic.Int64
	var values sync.Map
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		// A client of its own keeps its connection, as most clients do.
		client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
		clients.Go(func() {
			defer client.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				requests.Add(1)
				resp, err := client.Get(p.URL())
				if err != nil {
					failed.Add(1)
					continue
				}
				_ = resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					failed.Add(1)
				}
				values.Store(resp.Header.Get("hello"), true)
			}
		})
	}
	for i := 1; i <= 10; i++ {
		next := addheader(t, fmt.Sprintf(`{name: hello, value: v%d}`, i))
		if i%2 == 0 {
			next.Module = otherBytes(next.Module, next.Plugin.Name+fmt.Sprint(i))
		}
		begin := time.Now()
		p.apply(next)
		t.Logf("version %d in service after %s", i, time.Since(begin))
		require.Equal(t, fmt.Sprintf("v%d", i), p.get("/").header.Get("hello"))
	}
	for requests.Load() < 500 {
		time.Sleep(time.Millisecond)
	}
	close(stop)
	clients.Wait()
	t.Logf("%d requests", requests.Load())
	require.Zero(t, failed.Load(), "of %d requests", requests.Load())
	_, none := values.Load("")
	require.False(t, none, "a response without the header")
	_, last := values.Load("v10")
	require.True(t, last)
	p.neverTrapped()
}

func TestRefusedVersionChangesNothing(t *testing.T) {
	good := addheader(t, `{name: hello, value: world}`)
	p := start(t, setup{filters: chain(good)})

	reason := p.refuses(addheader(t, `{name: hello, valu: world}`))
	require.Equal(t, `addheader: parsing plugin configuration: /valu: unknown field. known fields are "name" and "value"`, reason)
	require.Equal(t, "world", p.get("/").header.Get("hello"))

	broken := good
	broken.Module = good.Module[:len(good.Module)/2]
	require.Contains(t, p.refuses(broken), "corrupted Wasm module")
	require.Equal(t, "world", p.get("/").header.Get("hello"))

	p.apply(addheader(t, `{name: hello, value: again}`))
	require.Equal(t, "again", p.get("/").header.Get("hello"))
}
