//go:build envoy

package main_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	apikeyfilter "github.com/wasmfleet/wasmfleet/filters/apikey"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// The keys of these tests have a part that must not show anywhere.
const (
	secret = "cAnArY"
	webKey = "web-" + secret
	oldKey = "old-" + secret
	forged = "FoRgEd"
)

func apikey(t *testing.T) sandbox.Filter {
	t.Helper()
	return envoytest.Filter(t, "apikey", fmt.Sprintf(`{consumers: [{name: batch, sha256: ["%x"]}, {name: web, sha256: ["%x", "%x"]}], open: [/healthz, "/public/*"]}`,
		sha256.Sum256([]byte("batch")), sha256.Sum256([]byte(webKey)), sha256.Sum256([]byte(oldKey))))
}

// upstream answers with what it saw: x-path, x-who, and x-leak when the key or what the client made up is anywhere in the request.
func upstream(w http.ResponseWriter, r *http.Request) {
	dump, err := httputil.DumpRequest(r, true)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.Header().Set("x-path", r.RequestURI)
	w.Header()["X-Who"] = r.Header.Values("x-consumer")
	if all := string(dump) + fmt.Sprint(r.Trailer); strings.Contains(all, secret) || strings.Contains(all, forged) {
		w.Header().Set("x-leak", "yes")
	}
}

// No spelling of a path without a key comes to where a key is needed, whatever the upstream makes of it. The Envoy of these tests
// normalizes nothing, so the filter sees what was sent.
func TestPathsThatFool(t *testing.T) {
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(apikey(t)), Backend: http.HandlerFunc(upstream)})
	open := 0
	for _, prefix := range []string{"/public", "/public/", "/public/a/..", "/healthz", "/healthz/", "//public", "/./public", "/%70ublic", "/public%2f", `/public\`, "/public;a=b"} {
		for _, way := range []string{
			"", "/", "/a", "/..", "/../admin", "/%2e%2e/admin", "/%2E%2E/admin", "/.%2e/admin", "/%2e./admin", "/%252e%252e/admin", "/..%2fadmin", "/..%2Fadmin", "/..%5cadmin",
			`/..\admin`, `\..\admin`, "//admin", "//../admin", "/;/../admin", "/..;/admin", "/..;a=b/admin", "/.;/admin", "/%3b/../admin", "/...//admin", "/./../admin",
			"/%c0%ae%c0%ae/admin", "/%u002e%u002e/admin", "/..%00/admin", "/..%09/admin", "/../admin?/public/", "/../admin#/public/", "?/../../admin", "?a=/public/", "%3f/../admin", "/a/../../admin",
		} {
			target := prefix + way
			a, ok := p.Send("GET "+target+" HTTP/1.1\r\nhost: test\r\n\r\n", envoytest.Timeout)
			require.True(t, ok, target)
			if a.StatusCode != http.StatusOK {
				require.Contains(t, []int{http.StatusUnauthorized, http.StatusBadRequest}, a.StatusCode, target)
				continue
			}
			open++
			for _, became := range apikeyfilter.Readings(a.Header.Get("x-path")) {
				require.True(t, became == "/healthz" || became == "/public" || strings.HasPrefix(became, "/public/"), "%q needed no key, and an upstream may take it for %q", target, became)
			}
		}
	}
	require.Positive(t, open)
	// With a key such paths pass as they are, and as Envoy has them.
	for _, target := range []string{"/public/%2e%2e/admin", "/a;b", "/a%2fb", "//a"} {
		a, ok := p.Send("GET "+target+" HTTP/1.1\r\nhost: test\r\nx-api-key: "+webKey+"\r\n\r\n", envoytest.Timeout)
		require.True(t, ok)
		require.Equal(t, target, a.Header.Get("x-path"))
	}
	p.NeverTrapped()
}

// Whatever a client sends, the upstream sees neither the key nor a consumer that the filter did not set; with a body and trailers, too.
func TestUpstreamSeesTheConsumerAlone(t *testing.T) {
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(apikey(t)), Backend: http.HandlerFunc(upstream)})
	key := "x-api-key: " + webKey
	for _, tc := range []struct {
		name, path string
		lines      []string
		status     int
		who        []string
	}{
		{"a key", "/", []string{key}, 200, []string{"web"}},
		{"an old key", "/", []string{"X-API-KEY: " + oldKey}, 200, []string{"web"}},
		{"a key and a forged consumer", "/", []string{key, "x-consumer: " + forged}, 200, []string{"web"}},
		{"forged consumers in all spellings", "/", []string{"X-Consumer: " + forged, key, "x_consumer: " + forged, "X-CONSUMER: " + forged, "X_Consumer: " + forged}, 200, []string{"web"}},
		{"a consumer as a header of the connection", "/", []string{key, "connection: x-consumer", "x-consumer: " + forged}, 200, []string{"web"}},
		{"the key as a header of the connection", "/", []string{"connection: x-api-key", key}, 401, nil},
		{"the key twice", "/", []string{key, key}, 200, []string{"web"}},
		{"an open path", "/public/a", []string{"x-consumer: " + forged, "x_consumer: " + forged}, 200, nil},
		{"an open path and a key", "/public/a", []string{key, "x-consumer: " + forged}, 200, []string{"web"}},
		{"an open path and a wrong key", "/healthz", []string{key + "x", "x-consumer: " + forged}, 200, nil},
		{"a forged consumer alone", "/", []string{"x-consumer: web"}, 401, nil},
		{"a wrong key", "/", []string{key + "x"}, 401, nil},
		{"a wrong key before the right one", "/", []string{key + "x", key}, 401, nil},
		{"a key that is very long", "/", []string{key + strings.Repeat("x", 30_000)}, 401, nil},
		{"a key that is not ASCII", "/", []string{key + "\xff\xfe"}, 401, nil},
	} {
		for framing, body := range map[string]string{
			"no body": "\r\n", "length": "content-length: 3\r\n\r\nabc",
			"trailers": "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Consumer: " + forged + "\r\nx_consumer: " + forged + "\r\nx-api-key: " + webKey + "\r\n\r\n",
		} {
			t.Run(tc.name+"/"+framing, func(t *testing.T) {
				a, ok := p.Send("POST "+tc.path+" HTTP/1.1\r\nhost: test\r\n"+strings.Join(append(tc.lines, ""), "\r\n")+body, envoytest.Timeout)
				require.True(t, ok)
				require.Equal(t, tc.status, a.StatusCode, a.Text)
				require.Empty(t, a.Header.Values("x-leak"))
				require.Equal(t, tc.who, a.Header.Values("x-who"))
				if tc.status == 401 {
					require.Equal(t, `ApiKey header="x-api-key"`, a.Header.Get("www-authenticate"))
					require.Contains(t, a.Text, "x-api-key")
					require.NotContains(t, a.Text, secret)
				}
			})
		}
	}
	http2(t, p)
	p.NeverTrapped()
}

// http2 is what HTTP/2 adds: real trailers, which the filter is shown. This Envoy does not pass them on to an upstream that speaks HTTP/1.
func http2(t *testing.T, p *envoytest.Proxy) {
	t.Helper()
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: &protocols}, Timeout: envoytest.Timeout}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodPost, p.URL()+"/", io.NopCloser(bytes.NewBufferString("abc")))
	require.NoError(t, err)
	req.Header.Set("x-api-key", webKey)
	req.Trailer = http.Header{"X-Consumer": {forged}, "X_consumer": {forged}, "X-Api-Key": {webKey}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Empty(t, resp.Header.Values("x-leak"))
	require.Equal(t, []string{"web"}, resp.Header.Values("x-who"))
}

// Neither what the filter logs nor what Envoy's Wasm runtime does has the key, at any level.
func TestKeyIsNotLogged(t *testing.T) {
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(apikey(t)), Backend: http.HandlerFunc(upstream)})
	p.Post("/logging?wasm=trace")
	for _, key := range []string{webKey, webKey + "x"} {
		p.Get("/", "x-api-key", key)
		p.Get("/public/a", "x-api-key", key)
	}
	// The same key where its hash belongs.
	require.Contains(t, p.Refuses(envoytest.Filter(t, "apikey", `{consumers: [{name: web, sha256: [`+webKey+`]}]}`)), "want the SHA-256 of a key")
	p.Logs("want the SHA-256 of a key")
	require.NotContains(t, p.Logged(), secret)
}

// A new configuration takes a key away on all workers, and no request is judged by neither.
func TestKeyIsReplacedUnderLoad(t *testing.T) {
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(apikey(t)), Backend: http.HandlerFunc(upstream)})
	var accepted, refused atomic.Int64
	check := func(right bool) func(envoytest.Answer) error {
		return func(a envoytest.Answer) error {
			switch {
			case a.StatusCode == http.StatusOK && right && a.Header.Get("x-who") == "web":
				accepted.Add(1)
			case a.StatusCode == http.StatusUnauthorized && !right:
				refused.Add(1)
			default:
				return fmt.Errorf("key is right: %t, and the answer %d: %s", right, a.StatusCode, a.Text)
			}
			return nil
		}
	}
	good := p.Traffic(4, "/", check(true), "x-api-key: "+webKey)
	bad := p.Traffic(4, "/", check(false), "x-api-key: "+webKey+"x")
	none := p.Traffic(2, "/public/../a", check(false))
	good.AtLeast(envoytest.Size(300, 30_000))
	withoutOld := envoytest.Filter(t, "apikey", fmt.Sprintf(`{consumers: [{name: web, sha256: ["%x"]}]}`, sha256.Sum256([]byte(webKey))))
	p.Switch(withoutOld)
	require.Eventually(t, func() bool { return p.Get("/", "x-api-key", oldKey).Status == 401 }, envoytest.Timeout, envoytest.Interval)
	for range 20 {
		require.Equal(t, 401, p.Get("/", "x-api-key", oldKey).Status)
		require.Equal(t, 401, p.Get("/healthz").Status)
	}
	good.AtLeast(envoytest.Size(300, 30_000))
	good.Stop()
	bad.Stop()
	none.Stop()
	require.Positive(t, accepted.Load())
	require.Positive(t, refused.Load())
	p.NeverTrapped()
}
