//go:build envoy

package envoy

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/example"
)

// Clients and upstreams send what no honest one sends, in HTTP/1.1 and HTTP/2, through every callback that the filters have for
// requests and responses (mutate_test.go has the configurations). Envoy refuses much of it; whatever it lets through, no VM traps,
// and the next honest request gets its answer.
func TestHostileValues(t *testing.T) {
	t.Parallel()
	var total traffic
	filters := shownFilters(t)
	examples := 0
	for _, f := range filters {
		examples += len(f.examples)
	}
	requests := int64(hostileRequests / examples)
	first := probe(t, "FAIL_RELOAD")
	t.Run("filter", func(t *testing.T) { // returns when those in it have ended
		for _, f := range filters {
			for _, e := range f.examples {
				t.Run(f.Name+"/"+filepath.Base(e.File), func(t *testing.T) {
					t.Parallel()
					total.hostile(t, first, f, e, requests)
				})
			}
		}
	})
	all := requests * int64(examples)
	t.Logf("%d requests, of which %d reached the upstream; %d and %d were answered; %d honest requests",
		2*all, total.reached.Load(), total.answered.Load(), total.answered2.Load(), total.honest.Load())
	require.Greater(t, total.answered.Load(), all/4, "Envoy refuses too much for a test of the filters")
	require.Greater(t, total.answered2.Load(), all/4, "Envoy refuses too much for a test of the filters")
	require.Greater(t, total.reached.Load(), all/10, "the filters or Envoy let nothing through")
}

// traffic counts.
type traffic struct {
	reached, answered, answered2, honest atomic.Int64
}

// hostile sends so many requests of each version of HTTP through a filter with the configuration of an example. The probe is the
// first in the chain: its header is on what has passed it.
func (total *traffic) hostile(t *testing.T, probe sandbox.Filter, f shown, e *example.Example, requests int64) {
	filter, err := e.Plugin(f.options(t))
	require.NoError(t, err)
	names := headerNames(e)
	p := envoytest.Start(t, envoytest.Setup{
		Filters:  envoytest.Chain(probe, filter),
		Services: e.Handlers(),
		// Envoy itself answers the honest, as connections to this upstream may be anything but.
		Routes: []*routev3.Route{envoy.DirectResponse("/honest", http.StatusOK, "")},
		Backend: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := uint64(total.reached.Add(1))
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = io.WriteString(conn, hostile{rand.New(rand.NewPCG(n, 3)), names}.response())
		}),
	})
	var next atomic.Int64
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			for i := next.Add(1); i <= requests; i = next.Add(1) {
				if a, ok := p.Send(hostile{rand.New(rand.NewPCG(uint64(i), 1)), names}.request(), patience); ok && a.Header.Get("x-probe") != "" {
					total.answered.Add(1)
				}
				if sendHTTP2(p, hostile{rand.New(rand.NewPCG(uint64(i), 2)), names}) {
					total.answered2.Add(1)
				}
			}
		})
	}
	honest := p.Traffic(1, "/honest", func(a envoytest.Answer) error {
		if got := a.Header.Values("x-probe"); len(got) != 1 {
			return fmt.Errorf("want x-probe, got %v", a.Header)
		}
		return nil
	})
	clients.Wait()
	honest.Stop()
	total.honest.Add(int64(honest.Requests()))
	p.NeverTrapped()
}

// headerNames are what may be the name of a header in the example: those are what the filter looks at.
func headerNames(e *example.Example) []string {
	data, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return regexp.MustCompile(`\b[a-zA-Z][a-zA-Z-]{1,40}\b`).FindAllString(string(data), -1)
}

// patience is how long to wait for an answer: what Envoy finds malformed, or what says that more is to come than there is, gets none.
const patience = 300 * time.Millisecond

// hostile makes up messages.
type hostile struct {
	*rand.Rand
	names []string // of headers that a filter may look at
}

func (h hostile) name() string {
	if name := pick(h.Rand, h.names...); h.IntN(2) == 0 {
		return pick(h.Rand, name, strings.ToUpper(name), http.CanonicalHeaderKey(name))
	}
	return pick(h.Rand, "authorization", "Authorization", "AUTHORIZATION", "cookie", "x", "a-b_c.d~!#$%&'*+^`|",
		"authorization2", "author", "x-"+strings.Repeat("n", h.IntN(2000)), "x-envoy-upstream-rq-timeout-ms", "x-forwarded-for", "x-request-id", "te", "via", "date", "status", "path")
}

// oddName is a name that should not be one.
func (h hostile) oddName() string {
	return pick(h.Rand, ":authority", ":path", ":status", ":method", ":authorization", ":", "", " authorization", "authorization ", "autho rization",
		"authorization\x00", "\x00", "authorizati\xf6n", "content-length", "transfer-encoding", "host", "connection", "upgrade", "expect")
}

func (h hostile) value() string {
	switch h.IntN(8) {
	case 0:
		return ""
	case 1:
		return strings.Repeat(pick(h.Rand, "v", "\xff", "é", ",", " ", "\t", "%00", "\\", "\""), h.IntN(8000))
	case 2:
		return pick(h.Rand, " ", "\t\t", ",", ";", "a, b,, c", "Bearer", "Bearer ", "bearer bearer", "0", "-1", "9223372036854775808", "NaN", "chunked", "\u202e", "{\"a\":", "${jndi:}", "%s%n")
	default:
		b := make([]byte, h.IntN(40))
		for i := range b {
			if b[i] = byte(h.IntN(256)); b[i] < ' ' || b[i] == 0x7f {
				b[i] = '\t'
			}
		}
		return string(b)
	}
}

// oddValue is a value that should not be one.
func (h hostile) oddValue() string {
	return pick(h.Rand, "\x00", "a\x00b", "a\rb", "a\nb", "\x7f", "\x01\x02", strings.Repeat("v", 70_000))
}

// headers makes up to about 60 KiB of headers, Envoy's limit, mostly of a form that passes.
func (h hostile) headers() (headers [][2]string) {
	size := 0
	for range pick(h.Rand, 0, 1, 2, 5, 20, 90, 90, 110) {
		header := [2]string{h.name(), h.value()}
		if size += len(header[0]) + len(header[1]); size > 55_000 {
			break
		}
		headers = append(headers, header)
	}
	switch h.IntN(8) {
	case 0:
		headers = append(headers, [2]string{h.oddName(), h.value()})
	case 1:
		headers = append(headers, [2]string{h.name(), h.oddValue()})
	}
	return headers
}

func (h hostile) lines() string {
	var b strings.Builder
	for _, header := range h.headers() {
		b.WriteString(header[0] + ":" + header[1] + "\r\n")
	}
	return b.String()
}

func (h hostile) method() string {
	return pick(h.Rand, "GET", "GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "TRACE")
}

func (h hostile) path() string {
	return pick(h.Rand, "/", "/", "/", "/", "/", "/", "//", "/?", "/%00", "/%", "/../..", "/a?b=c&d", "/"+strings.Repeat("p", h.IntN(6000)), "*", "http://test/", "/\xff", "/ a")
}

// framing is the end of the headers, and the body.
func (h hostile) framing() string {
	return pick(h.Rand, "\r\n", "content-length: 0\r\n\r\n", "content-length: 3\r\n\r\nabc",
		"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
		"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"+h.lines()+"\r\n",
		"transfer-encoding: chunked\r\ntrailer: authorization\r\n\r\n3;"+h.value()+"\r\nabc\r\n0\r\nauthorization: x\r\n\r\n")
}

// request asks for an end of the connection, so that its answer ends whatever it says.
func (h hostile) request() string {
	return h.method() + " " + h.path() + " HTTP/1.1\r\nhost: test\r\nconnection: close\r\n" + h.lines() + h.framing()
}

func (h hostile) response() string {
	status := pick(h.Rand, "200 OK", "200 ", "200", "204 No Content", "304 Not Modified", "404 "+h.value(), "500 x", "599 x", "100 Continue\r\n\r\nHTTP/1.1 200 OK", "103 x\r\nlink: y\r\n\r\nHTTP/1.1 200 OK")
	return pick(h.Rand, "HTTP/1.1 ", "HTTP/1.1 ", "HTTP/1.1 ", "HTTP/1.0 ") + status + "\r\n" + h.lines() + h.framing()
}

const (
	frameData, frameHeaders, frameReset, frameSettings, frameGoAway = 0, 1, 3, 4, 7
	flagEndStream, flagEndHeaders                                   = 1, 4
)

// sendHTTP2 sends headers, a body and trailers in frames of HTTP/2, and tells whether the answer came to its end.
func sendHTTP2(p *envoytest.Proxy, h hostile) bool {
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL(), "http://"))
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	pseudo := [][2]string{{":method", h.method()}, {":scheme", "http"}, {":authority", "test"}, {":path", h.path()}}
	request := "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(frameSettings, 0, 0, "") +
		headerFrames(0, append(pseudo, h.forHTTP2()...)) +
		frame(frameData, 0, 1, "abc") +
		headerFrames(flagEndStream, append(h.forHTTP2(), [2]string{"authorization", "x"}))
	go func() { _, _ = io.WriteString(conn, request) }() // Envoy may have hung up
	for {
		var head [9]byte
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return false
		}
		length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
		_, _ = io.CopyN(io.Discard, conn, length)
		kind, flags := head[3], head[4]
		if kind == frameReset || kind == frameGoAway {
			return false
		}
		if flags&flagEndStream != 0 && (kind == frameHeaders || kind == frameData) {
			return true
		}
	}
}

// forHTTP2 is the headers, mostly as HTTP/2 wants them: names in lower case, no white space around values.
func (h hostile) forHTTP2() [][2]string {
	headers := h.headers()
	if h.IntN(8) == 0 {
		return headers
	}
	for i := range headers {
		headers[i] = [2]string{strings.ToLower(headers[i][0]), strings.TrimSpace(headers[i][1])}
	}
	return slices.DeleteFunc(headers, func(header [2]string) bool { return header[0] == "te" })
}

// headerFrames is a header block of literals (RFC 7541, 6.2.2) in as many frames as it takes.
func headerFrames(flags byte, headers [][2]string) string {
	var block []byte
	for _, header := range headers {
		block = append(block, 0)
		for _, s := range header {
			// An integer with a prefix of 7 bits.
			n := len(s)
			if n < 127 {
				block = append(block, byte(n))
			} else {
				block = binary.AppendUvarint(append(block, 127), uint64(n-127))
			}
			block = append(block, s...)
		}
	}
	const maxFrame, continuation = 16384, 9
	first := block[:min(len(block), maxFrame)]
	rest := block[len(first):]
	if len(rest) == 0 {
		return frame(frameHeaders, flags|flagEndHeaders, 1, string(first))
	}
	frames := frame(frameHeaders, flags, 1, string(first))
	for len(rest) > 0 {
		next := rest[:min(len(rest), maxFrame)]
		rest = rest[len(next):]
		end := byte(0)
		if len(rest) == 0 {
			end = flagEndHeaders
		}
		frames += frame(continuation, end, 1, string(next))
	}
	return frames
}

func frame(kind, flags byte, stream uint32, payload string) string {
	n := len(payload)
	return string(binary.BigEndian.AppendUint32([]byte{byte(n >> 16), byte(n >> 8), byte(n), kind, flags}, stream)) + payload
}
