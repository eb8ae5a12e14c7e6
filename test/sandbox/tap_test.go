//go:build envoy

package sandbox

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/example"
)

// Taps see what passes and change nothing: upstream and client get the same bytes with and without them.
func TestTaps(t *testing.T) {
	var mu sync.Mutex
	var got []*example.Message
	backend, stop, err := sandbox.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		got = append(got, example.Received(r))
		mu.Unlock()
		w.Header().Set("Trailer", "X-End")
		w.Header().Add("x-two", "a")
		w.Header().Add("x-two", "b c&d=%e")
		for range 3 {
			_, _ = io.WriteString(w, strings.Repeat("piece", 20000))
			w.(http.Flusher).Flush()
		}
		w.Header().Set("X-End", "trailer")
	}))
	require.NoError(t, err)
	t.Cleanup(stop)
	var taps []sandbox.Tap
	exchange := func(tapped bool) (*example.Message, http.Header, *example.Message) {
		got, taps = nil, nil
		p, err := sandbox.Start(t.Context(), sandbox.Config{
			Envoy: program(t), Backend: backend, Filters: []sandbox.Filter{hello("a", 2, "one"), hello("b", 1, "two")}, Taps: tapped,
			Log: func(e envoy.LogEntry) {
				if tap, ok := sandbox.ParseTap(e); ok {
					taps = append(taps, tap)
				}
			},
		})
		require.NoError(t, err)
		defer p.Stop()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL()+"/a?b=c%20d", io.MultiReader(strings.NewReader("chunked"))) // of no known length
		require.NoError(t, err)
		req.Header["X-List"] = []string{"1", "2\t&=%"}
		req.Header.Set("X-Request-Id", "this")
		req.Host = "taps.test"
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		p.SyncLog()
		return got[0], resp.Trailer, &example.Message{Status: resp.StatusCode, Headers: example.Headers(resp.Header), Body: string(body)}
	}
	up, trailer, down := exchange(false)
	require.Empty(t, taps)
	tappedUp, tappedTrailer, tappedDown := exchange(true)
	require.Equal(t, up, tappedUp)
	require.Equal(t, trailer, tappedTrailer)
	require.Equal(t, down, tappedDown)

	require.Len(t, taps, 6, "three places, in and out")
	for i, want := range []struct {
		place int
		out   bool
		hello []string
	}{{0, false, nil}, {1, false, nil}, {2, false, nil}, {2, true, nil}, {1, true, []string{`{"v":"two"}`}}, {0, true, []string{`{"v":"two"}`, `{"v":"one"}`}}} {
		require.Equal(t, want.place, taps[i].Place)
		require.Equal(t, want.out, taps[i].Out)
		require.Equal(t, "this", taps[i].Request)
		require.Equal(t, want.hello, taps[i].Headers["hello"])
	}
	require.Equal(t, []string{"1", "2\t&=%"}, taps[0].Headers["x-list"])
	require.Equal(t, []string{"a", "b c&d=%e"}, taps[3].Headers["x-two"])
}
