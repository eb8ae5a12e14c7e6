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

	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// A token that lives for two seconds, and a token service that is down after one: the token is sent as long as it may, and never
// longer, by the clock of the upstream.
func TestNoExpiredTokenIsSent(t *testing.T) {
	const lifetime = 2 * time.Second
	for name, config := range map[string]string{
		// The margin is for a machine with more to do than cores: the clock is read on both sides of the way.
		"shared":     `{token: {json: /access_token}, lifetime: {json: /expires_in}, margin: 600ms}`,
		"per worker": `{token: {json: /access_token}, lifetime: {json: /expires_in}, margin: 600ms, share: false}`,
		"JWT":        `{token: {json: /access_token}, lifetime: {jwt: true}, margin: 600ms}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var first, last atomic.Int64 // ms: when the first token was given, and when the last valid one arrived
			var expired atomic.Int64
			p := start(t, envoytest.Setup{
				Filters: envoytest.Chain(jwtfetch(t, config)),
				Services: tokens(func(w http.ResponseWriter, _ *http.Request) {
					now := time.Now()
					first.CompareAndSwap(0, now.UnixMilli())
					if now.UnixMilli() > first.Load()+lifetime.Milliseconds()/2 {
						panic(http.ErrAbortHandler)
					}
					// A JWT has whole seconds; a little more life is left for the start of the traffic.
					end := now.Add(lifetime)
					if strings.Contains(config, "jwt") {
						end = end.Truncate(time.Second).Add(time.Second)
					}
					fmt.Fprintf(w, `{"access_token":"%s.%d","expires_in":%d}`,
						strings.TrimSuffix(jwt(fmt.Sprintf(`{"exp":%d}`, end.Unix())), ".c2lnbmF0dXJl"), end.UnixMilli(), int(lifetime.Seconds()))
				}),
				Backend: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					now := time.Now().UnixMilli()
					token := r.Header.Get("authorization")
					end, err := strconv.ParseInt(token[strings.LastIndex(token, ".")+1:], 10, 64)
					switch {
					case err != nil:
						http.Error(w, "no token", http.StatusBadRequest)
					case now >= end:
						expired.Add(1)
					default:
						last.Store(now)
					}
				}),
			})
			var served, refused atomic.Int64
			tr := p.Traffic(2, "/", func(a envoytest.Answer) error {
				if a.StatusCode == http.StatusOK {
					served.Add(1)
					return nil
				}
				refused.Add(1)
				return denied(a)
			})
			time.Sleep(2 * lifetime)
			failuresAtLeast(p, 1)
			tr.Stop()
			require.Zero(t, expired.Load(), "expired tokens reached the upstream")
			require.NotZero(t, served.Load())
			require.NotZero(t, refused.Load())
			lived := time.Duration(last.Load()-first.Load()) * time.Millisecond
			t.Logf("%d served, %d denied; the last token was sent %s after the first was given", served.Load(), refused.Load(), lived)
			require.Greater(t, lived, lifetime/3, "the token was given up long before its end")
			p.NeverTrapped()
		})
	}
}

func failuresAtLeast(p *envoytest.Proxy, n int) {
	p.T.Helper()
	require.Eventually(p.T, func() bool { return failures(p, `\w+`) >= n }, envoytest.Timeout, envoytest.Interval)
}
