//go:build envoy

package main_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// oauth reads the answers of sandbox.Tokens.
const oauth = `{token: {json: /access_token}, lifetime: {json: /expires_in}}`

func TestJwtfetchPutsTheTokenOnTheRequest(t *testing.T) {
	for name, config := range map[string]string{
		"from the body":          oauth,
		"from a header":          `{token: {header: authorization}, lifetime: {jwt: true}}`,
		"valid for a fixed time": `{token: {json: /access_token}, lifetime: {fixed: 300s}}`,
		"a token a worker":       `{token: {json: /access_token}, lifetime: {json: /expires_in}, share: false}`,
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, envoytest.Setup{Filters: envoytest.Chain(jwtfetch(t, config))})
			p.WhenServing()
			for range 20 {
				if r := p.Get("/"); r.Status == http.StatusOK || !strings.Contains(config, "share: false") {
					require.Regexp(t, `^Bearer [\w-]+\.[\w-]+\.[\w-]+$`, r.Upstream(t).Headers["authorization"])
				}
			}
			p.NeverTrapped()
		})
	}
}

// One worker fetches for all, and with it the token service sees one request, not one from each worker.
func TestJwtfetchFetchesOnce(t *testing.T) {
	var fetches atomic.Int64
	p := start(t, envoytest.Setup{
		Filters: envoytest.Chain(jwtfetch(t, oauth)),
		Workers: 4,
		Services: tokens(func(w http.ResponseWriter, r *http.Request) {
			fetches.Add(1)
			sandbox.Tokens(w, r)
		}),
	})
	p.WhenServing()
	time.Sleep(600 * time.Millisecond) // two more ticks of each worker
	require.EqualValues(t, 1, fetches.Load())
}

func TestJwtfetchWithoutToken(t *testing.T) {
	t.Run("deny", func(t *testing.T) {
		p := start(t, envoytest.Setup{Filters: envoytest.Chain(jwtfetch(t, oauth)), Services: down})
		got := p.Get("/")
		require.Equal(t, http.StatusServiceUnavailable, got.Status)
		require.Equal(t, "jwtfetch: there is no valid token for this request\n", got.Body)
		p.NeverTrapped()
	})
	t.Run("pass", func(t *testing.T) {
		p := start(t, envoytest.Setup{Filters: envoytest.Chain(jwtfetch(t, `{token: {json: /access_token}, lifetime: {json: /expires_in}, onMissing: pass}`)), Services: down})
		got := p.Get("/", "authorization", "Bearer mine")
		require.NotContains(t, got.Upstream(t).Headers, "authorization", "the client's own must not reach the upstream either")
		p.NeverTrapped()
	})
}

// After a fault (see fault_test.go) the next good answer heals.
func TestJwtfetchHeals(t *testing.T) {
	t.Parallel()
	var healed atomic.Bool
	p := start(t, envoytest.Setup{Filters: envoytest.Chain(jwtfetch(t, oauth)), Services: tokens(func(w http.ResponseWriter, r *http.Request) {
		if !healed.Load() {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		sandbox.Tokens(w, r)
	})})
	p.Logs("jwtfetch: test/jwtfetch: outbound|80||token.internal: fetching token: want status 2xx, got 500")
	require.Equal(t, http.StatusServiceUnavailable, p.Get("/").Status)
	healed.Store(true)
	p.WhenServing()
	p.NeverTrapped()
}
