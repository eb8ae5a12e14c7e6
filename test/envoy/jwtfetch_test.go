package envoy

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/tools/run/sandbox"
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

func TestJwtfetchReplacesWhatTheClientSends(t *testing.T) {
	p := start(t, setup{filters: chain(jwtfetch(t, oauth))})
	p.whenServing()
	got := p.get("/", "authorization", "Basic c3Rlcm5l", "authorization", "Bearer mine", "AUTHORIZATION", "Bearer other")
	require.Regexp(t, `^Bearer [\w-]+\.[\w-]+\.[\w-]+$`, got.upstream(t).Headers["authorization"])
}

// The token is for the upstream alone: no response and no log has it.
func TestJwtfetchKeepsTheToken(t *testing.T) {
	const secret = "c2VjcmV0.dG9rZW4.c2lnbmF0dXJl"
	p := start(t, setup{
		filters: chain(jwtfetch(t, oauth)),
		tokens: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"access_token":%q,"expires_in":300}`, secret)
		}),
		backend: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Header.Get("authorization") == "Bearer "+secret)
		}),
	})
	got := p.whenServing()
	require.Equal(t, "true", got.body, "the token did not reach the upstream")
	require.NotContains(t, fmt.Sprint(got.header), "secret")
	require.NotContains(t, fmt.Sprint(got.header), secret)
	p.logs("jwtfetch: got a token of")
	require.NotContains(t, p.logged(), secret)
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

// Whatever the token service does, the VM lives, requests are denied, and the next good answer heals.
func TestJwtfetchSurvivesTheTokenService(t *testing.T) {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	for _, tc := range []struct {
		name   string
		answer http.HandlerFunc
	}{
		{"500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }},
		{"empty 200", func(http.ResponseWriter, *http.Request) {}},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }},
		{"no JSON", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }},
		{"half of the JSON", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"access_token":"a.b`) }},
		{"other JSON", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"access_token":["a"],"expires_in":{}}`) }},
		{"a token that would split the header", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"access_token":"a\r\nx-admin: true","expires_in":300}`)
		}},
		{"expired", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"access_token":"a.b.c","expires_in":-1}`)
		}},
		{"a megabyte", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat("x", 1<<20)) }},
		{"closed connection", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
		{"silence", func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hang:
			case <-r.Context().Done():
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var healed atomic.Bool
			var calls atomic.Int64
			p := start(t, setup{
				filters: chain(filter(t, "jwtfetch", `{
					upstream: {host: token.internal, port: 80}, request: {path: /auth, timeout: 200ms},
					token: {json: /access_token}, lifetime: {json: /expires_in}}`)),
				workers: 1,
				tokens: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					calls.Add(1)
					if healed.Load() {
						sandbox.Tokens(w, r)
					} else {
						tc.answer(w, r)
					}
				}),
			})
			require.Eventually(t, func() bool { return calls.Load() > 0 }, 5*time.Second, time.Millisecond)
			p.logs("jwtfetch: fetching token: ")
			require.Equal(t, http.StatusServiceUnavailable, p.get("/").status)
			p.neverTrapped()
			healed.Store(true)
			p.whenServing()
			p.neverTrapped()
		})
	}
	t.Run("refused connection", func(t *testing.T) {
		t.Parallel()
		p := start(t, setup{filters: chain(jwtfetch(t, oauth)), noToken: true, workers: 1})
		p.logs("jwtfetch: fetching token: ")
		require.Equal(t, http.StatusServiceUnavailable, p.get("/").status)
		p.neverTrapped()
	})
}
