//go:build envoy

package main_test

import (
	"fmt"
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

// kept are changes that ask nothing new, so the token of before serves on.
var kept = []string{
	`{token: {json: /access_token}, lifetime: {json: /expires_in}, onMissing: deny}`, // the default, written out
	`{token: {json: /access_token}, lifetime: {json: /expires_in}, refresh: 60s}`,
	`{token: {json: /access_token}, lifetime: {json: /expires_in}, header: x-token}`,
	`{token: {json: /access_token}, lifetime: {json: /expires_in}, header: x-token, prefix: ""}`,
	`{token: {json: /access_token}, lifetime: {json: /expires_in}, margin: 5s}`,
	`{token: {json: /access_token, maxBytes: 10000}, lifetime: {json: /expires_in}, paths: [/]}`,
	oauth,
}

// slowTokens is a token service that takes its time, or is down when that is negative.
func slowTokens(takes *atomic.Int64, asked *atomic.Int64) map[string]http.Handler {
	return tokens(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		d := time.Duration(takes.Load())
		if d < 0 {
			panic(http.ErrAbortHandler)
		}
		time.Sleep(d)
		sandbox.Tokens(w, r)
	})
}

// hasToken wants the echo of a request with a token, in one header or the other.
func hasToken(a envoytest.Answer) error {
	if err := envoytest.OK(a); err != nil {
		return err
	}
	if !wellFormedToken.MatchString(a.Text) {
		return fmt.Errorf("no token: %s", a.Text)
	}
	return nil
}

// While requests come without a pause, configurations change. However slow the token service is, or down, no request is denied.
func TestChangeKeepsTheToken(t *testing.T) {
	for name, takes := range map[string]time.Duration{"20 ms": 20 * time.Millisecond, "1.2 s": 1200 * time.Millisecond, "down": -1} {
		for _, share := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, share %v", name, share), func(t *testing.T) {
				t.Parallel()
				var wait, asked atomic.Int64
				with := func(config string) sandbox.Filter {
					if !share {
						config = "{share: false, " + config[1:]
					}
					return jwtfetch(t, config)
				}
				p := start(t, envoytest.Setup{Filters: envoytest.Chain(with(oauth)), Services: slowTokens(&wait, &asked)})
				tr := p.Traffic(4, "/", hasToken) // the first requests wait for the first token
				tr.AtLeast(200)
				if !share { // each of the two workers, and the main thread, gets a token of its own; who has none yet has none to keep
					require.Eventually(t, func() bool { return strings.Count(p.Logged(), "got a token") == 3 }, time.Minute, 50*time.Millisecond)
				}
				wait.Store(int64(takes))
				before := asked.Load()
				for _, config := range kept {
					p.Switch(with(config))
					tr.AtLeast(200)
				}
				if share { // another module is another VM: what is shared is all that it finds
					next := with(oauth)
					next.Module = envoytest.OtherBytes(next.Module, "next")
					p.Switch(next)
					tr.AtLeast(200)
				}
				tr.Stop()
				if share { // without, the main thread's VM asks as well, for nobody
					require.Equal(t, before, asked.Load(), "a change that asks nothing new asked")
				}
				p.NeverTrapped()
			})
		}
	}
}

// Where a token must be new, requests wait for it, up to the timeout.
func TestRequestsWaitForANewToken(t *testing.T) {
	for name, takes := range map[string]time.Duration{"20 ms": 20 * time.Millisecond, "0.3 s": 300 * time.Millisecond, "1.2 s": 1200 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var wait, asked atomic.Int64
			wait.Store(int64(takes))
			p := start(t, envoytest.Setup{Filters: envoytest.Chain(jwtfetch(t, oauth)), Services: slowTokens(&wait, &asked)})
			tr := p.Traffic(8, "/", hasToken)
			for i := range envoytest.Size(3, 30) {
				p.Switch(envoytest.Filter(t, "jwtfetch", fmt.Sprintf(`{hosts: ['*'], upstream: {host: token.internal, port: 80},
					request: {path: "/auth?%d"}, token: {json: /access_token}, lifetime: {json: /expires_in}}`, i)))
				tr.AtLeast(100)
			}
			tr.Stop()
			p.NeverTrapped()
		})
	}
}

// A request does not wait for longer than the timeout.
func TestRequestsDoNotWaitForEver(t *testing.T) {
	t.Parallel()
	p := start(t, envoytest.Setup{
		Filters: envoytest.Chain(envoytest.Filter(t, "jwtfetch", `{hosts: ['*'], upstream: {host: token.internal, port: 80},
			request: {path: /auth, timeout: 1s}, token: {json: /access_token}, lifetime: {json: /expires_in}}`)),
		Services: tokens(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
	})
	began := time.Now()
	require.NoError(t, denied2(p.Get("/")))
	require.Less(t, time.Since(began), 3*time.Second)
	require.NoError(t, denied2(p.Get("/")), "the fetch has failed: nobody waits")
	p.NeverTrapped()
}

// A client that goes away while its request waits is no trouble for those that stay.
func TestWaitingClientGoesAway(t *testing.T) {
	t.Parallel()
	answer := make(chan struct{})
	p := start(t, envoytest.Setup{
		Filters: envoytest.Chain(jwtfetch(t, oauth)),
		Services: tokens(func(w http.ResponseWriter, r *http.Request) {
			<-answer
			sandbox.Tokens(w, r)
		}),
	})
	impatient := &http.Client{Timeout: 50 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	for range 20 { // on both workers
		resp, err := impatient.Get(p.URL())
		require.Error(t, err)
		if resp != nil {
			resp.Body.Close()
		}
	}
	time.AfterFunc(100*time.Millisecond, func() { close(answer) })
	require.Regexp(t, wellFormedToken, p.Get("/").Upstream(t).Headers["authorization"])
	require.Zero(t, p.Stat(`wasmcustom\..*\.denied\.total`), "nobody was there to be denied")
	p.NeverTrapped()
}

// A request that waits is whole when it goes on: its body and its trailers, without the client's token in them.
func TestWaitingRequestIsWhole(t *testing.T) {
	t.Parallel()
	var wait, asked atomic.Int64
	wait.Store(int64(300 * time.Millisecond))
	type request struct {
		body, authorization string
		trailer             http.Header
	}
	got := make(chan request, 1)
	p := start(t, envoytest.Setup{
		Filters: envoytest.Chain(jwtfetch(t, oauth)), Services: slowTokens(&wait, &asked),
		Backend: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got <- request{string(body), r.Header.Get("authorization"), r.Trailer}
		}),
	})
	body := strings.Repeat("0123456789", 10_000)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL(), struct{ io.Reader }{strings.NewReader(body)}) // chunked
	require.NoError(t, err)
	req.Trailer = http.Header{"Authorization": {"Bearer mine"}, "X-Sum": {"1"}}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	r := <-got
	require.Equal(t, body, r.body)
	require.Regexp(t, wellFormedToken, r.authorization)
	require.Empty(t, r.trailer.Get("authorization"))
	p.NeverTrapped()
}

func denied2(r envoytest.Response) error {
	return denied(envoytest.Answer{Response: &http.Response{StatusCode: r.Status}, Text: r.Body})
}
