//go:build envoy

package main_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// secret must not show where it is redacted.
const secret = "cAnArY"

func jsonguard(t *testing.T, config string) sandbox.Filter {
	t.Helper()
	return envoytest.Filter(t, "jsonguard", config)
}

func metric(p *envoytest.Proxy, name string) int {
	return p.Stat(`wasmcustom\..*jsonguard\.` + name + `\.total`)
}

// recorder is an upstream that keeps what it got: whole bodies, and what there was of others.
type recorder struct {
	mu           sync.Mutex
	whole, parts []string
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.parts = append(r.parts, string(body))
		return
	}
	r.whole = append(r.whole, string(body))
	w.Header().Set("x-length", fmt.Sprint(req.ContentLength))
	_, _ = w.Write(body)
}

func (r *recorder) take() (whole, parts []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	whole, parts, r.whole, r.parts = r.whole, r.parts, nil, nil
	return whole, parts
}

// chunked is a body in chunks of HTTP/1.1, with trailers or without.
func chunked(trailers string, pieces ...string) string {
	var b strings.Builder
	b.WriteString("transfer-encoding: chunked\r\n\r\n")
	for _, piece := range pieces {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(piece), piece)
	}
	return b.String() + "0\r\n" + trailers + "\r\n"
}

func length(body string) string { return fmt.Sprintf("content-length: %d\r\n\r\n%s", len(body), body) }

// A body that is refused reaches the upstream neither as a whole nor in part, however it is framed.
func TestRequests(t *testing.T) {
	upstream := &recorder{}
	p := envoytest.Start(t, envoytest.Setup{
		Filters: envoytest.Chain(jsonguard(t, `{request: {maxBytes: 100000, maxDepth: 4, redact: [/password, "/users/*/ssn"], with: "***"}}`)),
		Backend: upstream,
	})
	long := `"` + strings.Repeat("a", 99_000) + `"`
	for _, tc := range []struct {
		name, body string
		want       string // at the upstream
		status     int
	}{
		{"nothing to redact", `{"a": [1, {"b": "c"}]}`, `{"a": [1, {"b": "c"}]}`, 200},
		{"redacted", `{"password":"` + secret + `","users":[{"ssn":1},{"name":"x","ssn":{"` + secret + `":1}}]}`, `{"password":"***","users":[{"ssn":"***"},{"name":"x","ssn":"***"}]}`, 200},
		{"redacted behind an escape", `{"p\u0061ssword":"` + secret + `"}`, `{"p\u0061ssword":"***"}`, 200},
		{"large", long, long, 200},
		{"too large", long + strings.Repeat(" ", 2000), "", 413},
		{"no JSON", secret, "", 400},
		{"a name twice", `{"role":"user","x":"` + secret + `","role":"admin"}`, "", 400},
		{"a name twice by an escape", `{"role":"user","x":"` + secret + `","\u0072ole":"admin"}`, "", 400},
		{"a second document", `{"x":"` + secret + `"}{"role":"admin"}`, "", 400},
		{"trailing bytes", `{"x":"` + secret + `"} x`, "", 400},
		{"too deep", `[[[[[]]]]]`, "", 400},
		{"very deep", strings.Repeat("[", 90_000), "", 400},
		{"cut", `{"x":"` + secret, "", 400},
		{"bad UTF-8", "{\"x\":\"" + secret + "\xff\"}", "", 400},
		{"UTF-16", "{\x00}\x00", "", 400},
	} {
		half := len(tc.body) / 2
		for framing, body := range map[string]string{
			"length":                  length(tc.body),
			"chunks":                  chunked("", tc.body[:half], tc.body[half:]),
			"many chunks":             chunked("", split(tc.body, max(1, len(tc.body)/40))...),
			"chunks and then trailer": chunked("x-sum: 1\r\n", tc.body[:half], tc.body[half:]),
		} {
			t.Run(tc.name+"/"+framing, func(t *testing.T) {
				a, ok := p.Send("POST / HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n"+body, envoytest.Timeout)
				require.True(t, ok)
				require.Equal(t, tc.status, a.StatusCode, "%.200s", a.Text)
				whole, parts := upstream.take()
				require.NotContains(t, strings.Join(parts, ""), secret)
				if tc.status == 200 {
					require.Equal(t, []string{tc.want}, whole)
					return
				}
				require.Empty(t, whole)
				require.Contains(t, a.Text, "jsonguard: the request's body is refused: ")
				require.NotContains(t, a.Text, secret)
			})
		}
	}
	require.NotContains(t, p.Logged(), secret)
	p.NeverTrapped()
}

func split(s string, n int) (pieces []string) {
	for ; len(s) > n; s = s[n:] {
		pieces = append(pieces, s[:n])
	}
	return append(pieces, s)
}

// What headers say is refused before the upstream hears of it.
func TestRequestsRefusedByHeaders(t *testing.T) {
	upstream := &recorder{}
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(jsonguard(t, `{request: {maxBytes: 20}}`)), Backend: upstream})
	for _, tc := range []struct {
		lines, body string
		status      int
		reached     bool
	}{
		{"content-type: application/json\r\n", length(`{"a":1}`), 200, true},
		{"content-type: application/json\r\n", length(strings.Repeat(" ", 21)), 413, false},
		{"content-type: text/plain\r\n", length(`{"a":1}`), 415, false},
		{"", length(`{"a":1}`), 415, false},
		{"", chunked("", `{"a":1}`), 415, false},
		{"content-type: text/plain\r\ncontent-type: application/json\r\n", length(`nope`), 415, false},
		{"content-type: application/json\r\ncontent-encoding: gzip\r\n", length("\x1f\x8b"), 415, false},
		{"content-type: application/json\r\ncontent-encoding: identity\r\ncontent-encoding: br\r\n", length(`nope`), 415, false},
		{"content-type: application/json\r\n", length(``), 200, true},
		{"content-type: application/json\r\n", chunked(""), 200, true},
		{"", "\r\n", 200, true},
	} {
		a, ok := p.Send("POST / HTTP/1.1\r\nhost: test\r\n"+tc.lines+tc.body, envoytest.Timeout)
		require.True(t, ok)
		require.Equal(t, tc.status, a.StatusCode, "%s%s: %s", tc.lines, tc.body, a.Text)
		whole, parts := upstream.take()
		require.Equal(t, tc.reached, len(whole)+len(parts) > 0, "%s%s", tc.lines, tc.body)
	}
	p.NeverTrapped()
}

// pieces is an upstream that sends a body in pieces, each on its own.
func pieces(header map[string]string, wait time.Duration, body ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", "application/json")
		for name, value := range header {
			w.Header().Set(name, value)
		}
		for _, piece := range body {
			_, _ = io.WriteString(w, piece)
			w.(http.Flusher).Flush()
			time.Sleep(wait)
		}
	})
}

func TestResponsesAreRedacted(t *testing.T) {
	want := `{"user":{"email":null,"name":"x"},"list":[{"id":1,"token":null},{"token":null}]}`
	body := `{"user":{"email":"` + secret + `","name":"x"},"list":[{"id":1,"token":["` + secret + `"]},{"token":{"a":"` + secret + `"}}]}`
	for name, upstream := range map[string]http.Handler{
		"in one piece":   pieces(nil, 0, body),
		"with a length":  pieces(map[string]string{"content-length": fmt.Sprint(len(body))}, 0, body),
		"byte by byte":   pieces(nil, 0, split(body, 1)...),
		"in slow pieces": pieces(nil, 2*time.Millisecond, split(body, 17)...),
		"with trailers":  pieces(map[string]string{"trailer": "x-sum", http.TrailerPrefix + "x-sum": "1"}, 0, split(body, 30)...),
		"of another status": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("content-type", "application/problem+json")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, body)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(jsonguard(t, `{response: {redact: [/user/email, "/list/*/token"]}}`)), Backend: upstream})
			for range 4 {
				require.Equal(t, want, p.Get("/").Body)
			}
			require.Equal(t, 12, metric(p, "redacted"))
			p.NeverTrapped()
		})
	}
}

// A large answer streams: the client has its beginning while the upstream still holds the rest back.
func TestResponsesStream(t *testing.T) {
	rest := make(chan struct{})
	p := envoytest.Start(t, envoytest.Setup{
		Filters: envoytest.Chain(jsonguard(t, `{response: {maxBytes: 100000000, redact: ["/*/token"]}}`)),
		Backend: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("content-type", "application/json")
			_, _ = io.WriteString(w, `[{"id":0,"token":"`+secret+`"}`)
			w.(http.Flusher).Flush()
			<-rest
			for i := range 200_000 {
				fmt.Fprintf(w, `,{"id":%d,"token":"%s"}`, i, secret)
			}
			_, _ = io.WriteString(w, `]`)
		}),
	})
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), http.MethodGet, p.URL()+"/", nil)
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	first := make([]byte, len(`[{"id":0,"token":null}`))
	_, err = io.ReadFull(resp.Body, first)
	require.NoError(t, err)
	require.Equal(t, `[{"id":0,"token":null}`, string(first))
	close(rest)
	all, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Greater(t, len(all), 4_000_000)
	require.NotContains(t, string(all), secret)
	require.True(t, strings.HasSuffix(string(all), `,{"id":199999,"token":null}]`))
	p.NeverTrapped()
}

// An answer that turns out to be wrong is cut: the client sees an error, not the end of a body, and none of what is redacted.
func TestWrongResponsesAreCut(t *testing.T) {
	for name, body := range map[string][]string{
		"no JSON":       {`{"a":1,`, secret},
		"no JSON first": {secret},
		"a name twice":  {`{"token":"x",`, `"token":"` + secret + `"}`},
		"a second one":  {`{"a":1}`, `{"b":"` + secret + `"}`},
		"cut":           {`{"a":1,"token":"`, secret},
		"too large":     {`{"a":"` + strings.Repeat("a", 500), `","token":"` + secret, strings.Repeat("a", 600) + `"}`},
	} {
		for _, config := range []string{`{response: {maxBytes: 1000, redact: [/token]}}`, `{response: {maxBytes: 1000}}`} {
			t.Run(name+" "+config, func(t *testing.T) {
				p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(jsonguard(t, config)), Backend: pieces(nil, 20*time.Millisecond, body...)})
				for range 3 {
					got, err := envoytest.Get(t.Context(), p.URL()+"/")
					require.Error(t, err, "the client takes this for the whole: %q", got.Body)
					require.True(t, errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "reset"), err)
					if strings.Contains(config, "redact") {
						require.NotContains(t, got.Body, secret)
					}
				}
				require.Equal(t, 3, metric(p, "cut.responses"))
				p.Logs("jsonguard: the upstream's answer is cut: ")
				require.NotContains(t, p.Logged(), secret)
				p.NeverTrapped()
			})
		}
	}
}

// Answers whose headers say that they cannot be judged are refused before the client sees anything of them.
func TestResponsesRefusedByHeaders(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := io.WriteString(w, `{"token":"`+secret+`"}`)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for name, tc := range map[string]struct {
		config  string
		backend http.HandlerFunc
		status  int
		body    string
	}{
		"compressed": {`{response: {redact: [/token]}}`, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("content-type", "application/json")
			w.Header().Set("content-encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
		}, 502, "jsonguard: the upstream's answer is refused: it is compressed\n"},
		"compressed, which may pass": {`{response: {redact: [/token], compressed: pass}}`, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("content-type", "application/json")
			w.Header().Set("content-encoding", "x-other")
			_, _ = io.WriteString(w, r.Header.Get("accept-encoding"))
		}, 200, "gzip"},
		"what compresses when it is asked to": {`{response: {redact: [/token]}}`, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("content-type", "application/json")
			if r.Header.Get("accept-encoding") != "" || r.Header.Get("range") != "" {
				w.Header().Set("content-encoding", "gzip")
			}
			_, _ = io.WriteString(w, `{"token":1}`)
		}, 200, `{"token":null}`},
		"a part": {`{response: {redact: [/token]}}`, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("content-type", "multipart/byteranges; boundary=x")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, secret)
		}, 502, "jsonguard: the upstream's answer is refused: it is a part of a document\n"},
		"too large": {`{response: {maxBytes: 10}}`, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("content-type", "application/json")
			_, _ = io.WriteString(w, `"`+secret+`aaaa"`)
		}, 502, "jsonguard: the upstream's answer is refused: it is too large\n"},
		"another type": {`{response: {otherTypes: deny}}`, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("content-type", "text/html")
			_, _ = io.WriteString(w, secret)
		}, 502, "jsonguard: the upstream's answer is refused: it is not said to be JSON\n"},
		"another type, which passes": {`{response: {redact: [/token]}}`, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("content-type", "text/html")
			_, _ = io.WriteString(w, "<p>")
		}, 200, "<p>"},
	} {
		t.Run(name, func(t *testing.T) {
			p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(jsonguard(t, tc.config)), Backend: tc.backend})
			for range 3 {
				got := p.Get("/", "accept-encoding", "gzip", "range", "bytes=0-1")
				require.Equal(t, tc.status, got.Status)
				require.Equal(t, tc.body, got.Body)
			}
			p.NeverTrapped()
		})
	}
}

// Many at once on two workers do not mix, and memory has an end.
func TestUnderLoad(t *testing.T) {
	p := envoytest.Start(t, envoytest.Setup{
		Filters: envoytest.Chain(jsonguard(t, `{response: {redact: ["/*/token"]}}`)),
		Backend: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("content-type", "application/json")
			fmt.Fprintf(w, `[{"path":%q,"token":"%s"}`, r.URL.Path, secret)
			for range 200 {
				fmt.Fprintf(w, `,{"path":%q,"token":{"a":["%s",1.5e3,null]}}`, r.URL.Path, secret)
			}
			_, _ = io.WriteString(w, "]")
		}),
	})
	var traffic []*envoytest.Traffic
	for _, path := range []string{"/a", "/b", "/c", "/d"} {
		want := `[{"path":"` + path + `","token":null}` + strings.Repeat(`,{"path":"`+path+`","token":null}`, 200) + "]"
		traffic = append(traffic, p.Traffic(2, path, func(a envoytest.Answer) error {
			if a.Text != want {
				return fmt.Errorf("%d: %.200s", a.StatusCode, a.Text)
			}
			return nil
		}))
	}
	traffic[0].AtLeast(envoytest.Size(100, 1000))
	before := p.Memory()
	traffic[0].AtLeast(envoytest.Size(200, 50_000))
	require.Less(t, p.Memory()-before, 64<<20)
	for _, tr := range traffic {
		tr.Stop()
	}
	p.NeverTrapped()
}
