package envoy

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
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
			p := start(t, setup{filters: chain(jwtfetch(t, config))})
			p.whenServing()
			for range 20 {
				if r := p.get("/"); r.status == http.StatusOK || !strings.Contains(config, "share: false") {
					require.Regexp(t, `^Bearer [\w-]+\.[\w-]+\.[\w-]+$`, r.upstream(t).Headers["authorization"])
				}
			}
			p.neverTrapped()
		})
	}
}

// One worker fetches for all, and with it the token service sees one request, not one from each worker.
func TestJwtfetchFetchesOnce(t *testing.T) {
	var fetches atomic.Int64
	p := start(t, setup{
		filters: chain(jwtfetch(t, oauth)),
		workers: 4,
		tokens: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fetches.Add(1)
			sandbox.Tokens(w, r)
		}),
	})
	p.whenServing()
	time.Sleep(600 * time.Millisecond) // two more ticks of each worker
	require.EqualValues(t, 1, fetches.Load())
}

func TestJwtfetchWithoutToken(t *testing.T) {
	t.Run("deny", func(t *testing.T) {
		p := start(t, setup{filters: chain(jwtfetch(t, oauth)), noToken: true})
		got := p.get("/")
		require.Equal(t, http.StatusServiceUnavailable, got.status)
		require.Equal(t, "jwtfetch: there is no valid token for this request\n", got.body)
		p.neverTrapped()
	})
	t.Run("pass", func(t *testing.T) {
		p := start(t, setup{filters: chain(jwtfetch(t, `{token: {json: /access_token}, lifetime: {json: /expires_in}, onMissing: pass}`)), noToken: true})
		got := p.get("/", "authorization", "Bearer mine")
		require.NotContains(t, got.upstream(t).Headers, "authorization", "the client's own must not reach the upstream either")
		p.neverTrapped()
	})
}

// After a fault (see fault_test.go) the next good answer heals.
func TestJwtfetchHeals(t *testing.T) {
	t.Parallel()
	var healed atomic.Bool
	p := start(t, setup{filters: chain(jwtfetch(t, oauth)), tokens: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !healed.Load() {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		sandbox.Tokens(w, r)
	})})
	p.logs("jwtfetch: fetching token: want status 200, got 500")
	require.Equal(t, http.StatusServiceUnavailable, p.get("/").status)
	healed.Store(true)
	p.whenServing()
	p.neverTrapped()
}
