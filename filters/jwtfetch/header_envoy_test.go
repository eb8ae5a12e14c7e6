//go:build envoy

package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// forged is in every value that the clients of these tests send in the token's header.
const forged = "FoRgEd"

// spellings are ways to send the header x-token with a forged value, as lines of HTTP/1.1.
var spellings = [][]string{
	{"x-token: " + forged},
	{"X-Token: " + forged},
	{"X-TOKEN: " + forged},
	{"x-ToKeN: Bearer " + forged},
	{"x-token:" + forged},
	{"x-token: \t " + forged + " \t "},
	{"x-token: " + forged, "x-token: " + forged},
	{"x-token: " + forged, "X-Token: " + forged, "X-TOKEN: " + forged},
	{"x-token: a, " + forged + ", b"},
	{"x-token: a", "accept: */*", "X-token: " + forged},
	{"x-token:", "x-token: " + forged},
	{"x-token: \"" + forged + "\""},
	{"x-token: " + forged + strings.Repeat("a", 8000)},
	{"x-token: " + forged + "\xe4\xf6\xff"},
	{"connection: x-token", "x-token: " + forged},
	{"connection: keep-alive, X-Token", "x-token: " + forged},
	{"te: trailers", "x-token: " + forged},
	{strings.TrimSuffix(strings.Repeat("x-token: "+forged+"\r\n", 50), "\r\n")},
}

// malformed are spellings that no server may take for the header. Envoy refuses them, or they arrive under another name.
var malformed = [][]string{
	{"x-token : " + forged},
	{"x-token\t: " + forged},
	{" x-token: " + forged},
	{"x-token\x00: " + forged},
	{"x-token: " + forged + "\x00"},
	{"x-token: a\rx-token: " + forged},
	{"x-token: a\nX-Token: " + forged},
}

// What a client sends in the token's header never reaches the upstream: with a token, the upstream sees that alone, and without one,
// nothing, also where requests pass.
func TestClientCannotSupplyTheHeader(t *testing.T) {
	for name, tc := range map[string]struct {
		token string
		want  []string
	}{
		"with a token":    {"a.b.c", []string{"Bearer a.b.c"}},
		"without a token": {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, envoytest.Setup{
				Filters: envoytest.Chain(jwtfetch(t, `{token: {json: /access_token}, lifetime: {json: /expires_in}, header: x-token, onMissing: pass}`)),
				Services: tokens(func(w http.ResponseWriter, _ *http.Request) {
					fmt.Fprintf(w, `{"access_token":%q,"expires_in":300}`, tc.token)
				}),
				Backend: http.HandlerFunc(recordHeader),
			})
			seen := func() []string { return p.Get("/").Header.Values("x-seen") }
			if tc.token != "" {
				require.Eventually(t, func() bool { return len(seen()) > 0 }, envoytest.Timeout, envoytest.Interval)
			}
			requests, refused := 0, 0
			arrived := func(what string, status int, header http.Header) {
				requests++
				if status != http.StatusOK {
					refused++
					return
				}
				require.Empty(t, header.Values("x-forged"), "%q reached the upstream", what)
				require.Equal(t, tc.want, header.Values("x-seen"), what)
			}
			for _, lines := range append(spellings, malformed...) {
				for _, framing := range []string{"\r\n", "content-length: 3\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Token: " + forged + "\r\n\r\n"} {
					head := strings.Join(append(lines, ""), "\r\n")
					if a, ok := p.Send("POST / HTTP/1.1\r\nhost: test\r\n"+head+framing, envoytest.Timeout); ok {
						arrived(head+framing, a.StatusCode, a.Header)
					}
				}
			}
			require.LessOrEqual(t, refused, 3*len(malformed), "more than what is malformed was refused")
			for _, lines := range spellings {
				for _, trailers := range []bool{false, true} {
					status, header := http2(p, lines, trailers)
					arrived(fmt.Sprint("HTTP/2: ", lines), status, header)
				}
			}
			t.Logf("%d requests, %d refused by Envoy", requests, refused)
			p.NeverTrapped()
		})
	}
}

// recordHeader answers with the values of x-token, and with x-forged when a forged value is anywhere in the request.
func recordHeader(w http.ResponseWriter, r *http.Request) {
	dump, err := httputil.DumpRequest(r, true)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	for name, values := range r.Header {
		if strings.EqualFold(name, "x-token") {
			w.Header()["X-Seen"] = append(w.Header()["X-Seen"], values...)
		}
	}
	if bytes.Contains(dump, []byte(forged)) || strings.Contains(fmt.Sprint(r.Trailer), forged) {
		w.Header().Set("x-forged", "yes")
	}
}

// http2 sends a request with these lines as headers, and perhaps the token's header as a trailer.
func http2(p *envoytest.Proxy, lines []string, trailers bool) (int, http.Header) {
	p.T.Helper()
	req := httptest.NewRequestWithContext(context.WithoutCancel(p.T.Context()), http.MethodPost, p.URL()+"/", io.NopCloser(strings.NewReader("abc")))
	req.RequestURI = ""
	for _, lines := range lines {
		for line := range strings.SplitSeq(lines, "\r\n") {
			name, value, _ := strings.Cut(line, ":")
			if !strings.EqualFold(name, "connection") { // HTTP/2 has none
				req.Header[name] = append(req.Header[name], strings.Trim(value, " \t"))
			}
		}
	}
	if trailers {
		req.Trailer = http.Header{"X-Token": {forged, forged}}
	}
	resp, err := h2c.Do(req)
	require.NoError(p.T, err)
	defer resp.Body.Close()
	require.Equal(p.T, 2, resp.ProtoMajor)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(p.T, err)
	return resp.StatusCode, resp.Header
}

// h2c speaks HTTP/2 without TLS.
var h2c = func() *http.Client {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: &protocols}, Timeout: envoytest.Timeout}
}()
