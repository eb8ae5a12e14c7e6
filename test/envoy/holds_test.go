//go:build envoy

package envoy

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// A filter with stopIteration: headers judges a body before the upstream has seen anything of the request. Without the switch the same
// filter never gets the body: Envoy waits for it to resume.
func TestHoldsHeaders(t *testing.T) {
	module, _ := fixture(t, "holder")
	for holds, want := range map[bool]int{true: http.StatusForbidden, false: 0} {
		var upstream atomic.Int64
		p := envoytest.Start(t, envoytest.Setup{
			Filters: envoytest.Chain(sandbox.Filter{Plugin: envoytest.Plugin(t, "holder", "{}"), Module: module, HoldsHeaders: holds}),
			Backend: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				upstream.Add(1)
				_, _ = io.Copy(w, r.Body)
			}),
		})
		require.Equal(t, http.StatusOK, p.Get("/").Status, "a request without a body")
		upstream.Store(0)
		client := &http.Client{Timeout: time.Second}
		post := func(body string) (status int, answer string) {
			resp, err := client.Post(p.URL()+"/", "text/plain", strings.NewReader(body))
			if err != nil {
				return 0, err.Error()
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			return resp.StatusCode, string(text)
		}
		status, answer := post("bad")
		require.Equal(t, want, status, answer)
		require.Zero(t, upstream.Load(), "the upstream has seen a request that was not judged")
		if !holds {
			continue
		}
		client.Timeout = 10 * time.Second
		status, answer = post("good")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, "good", answer)
		require.EqualValues(t, 1, upstream.Load())
	}
}
