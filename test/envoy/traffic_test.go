package envoy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/require"
)

// traffic is clients that send the same request again and again, without a pause, on connections that they keep. It is leaner than
// http.Client, so that two cores are enough for millions of requests.
type traffic struct {
	p        *proxy
	stopped  atomic.Bool
	clients  sync.WaitGroup
	requests atomic.Int64
	failed   atomic.Int64
	first    atomic.Pointer[error] // failure
}

// answer is one response to a traffic's request.
type answer struct {
	*http.Response
	body string
}

// ok wants status 200.
func ok(a answer) error {
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("want status 200, got %d: %s", a.StatusCode, a.body)
	}
	return nil
}

// denied wants exactly jwtfetch's answer to a request without a token.
func denied(a answer) error {
	if a.StatusCode != http.StatusServiceUnavailable || a.body != "jwtfetch: there is no valid token for this request\n" {
		return fmt.Errorf("want jwtfetch's 503, got %d: %s", a.StatusCode, a.body)
	}
	return nil
}

// traffic starts clients for path, whose every answer is checked, with headers given as lines. It ends with the test or with stop.
func (p *proxy) traffic(clients int, path string, check func(answer) error, headers ...string) *traffic {
	p.t.Helper()
	request := "GET " + path + " HTTP/1.1\r\nhost: test\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
	tr := &traffic{p: p}
	for range clients {
		tr.clients.Go(func() {
			var c *connection
			for !tr.stopped.Load() {
				var err error
				if c, err = c.open(p); err == nil {
					var a answer
					if a, err = c.ask(request, timeout); err == nil {
						err = check(a)
					}
				}
				// Counted when it has ended: whoever waits for a number knows that so many were checked.
				tr.requests.Add(1)
				if err != nil {
					tr.failed.Add(1)
					tr.first.CompareAndSwap(nil, &err)
				}
			}
			c.close()
		})
	}
	p.t.Cleanup(func() { tr.end() })
	return tr
}

// atLeast waits until that many requests more were answered.
func (tr *traffic) atLeast(n int) {
	tr.p.t.Helper()
	end := tr.requests.Load() + int64(n)
	for deadline := time.Now().Add(10 * time.Minute); tr.requests.Load() < end; time.Sleep(time.Millisecond) {
		require.True(tr.p.t, time.Now().Before(deadline), "only %d requests", tr.requests.Load())
	}
}

// stop ends the traffic and wants that no request failed.
func (tr *traffic) stop() {
	tr.p.t.Helper()
	tr.end()
	if first := tr.first.Load(); first != nil {
		require.NoError(tr.p.t, *first, "%d of %d requests failed. the first", tr.failed.Load(), tr.requests.Load())
	}
}

func (tr *traffic) end() {
	tr.stopped.Store(true)
	tr.clients.Wait()
}

// connection is one to the proxy.
type connection struct {
	conn net.Conn // nil when closed
	r    *bufio.Reader
}

// open returns c, or another connection if c is nil or closed.
func (c *connection) open(p *proxy) (*connection, error) {
	if c != nil && c.conn != nil {
		return c, nil
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL(), "http://"))
	if err != nil {
		return nil, err
	}
	return &connection{conn, bufio.NewReader(conn)}, nil
}

// ask sends a request in the bytes of HTTP/1.1. The connection is closed after an error, and when the proxy says so.
func (c *connection) ask(request string, timeout time.Duration) (answer, error) {
	closes := true
	defer func() {
		if closes {
			c.close()
		}
	}()
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return answer{}, err
	}
	if _, err := io.WriteString(c.conn, request); err != nil {
		return answer{}, err
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	for err == nil && resp.StatusCode/100 == 1 {
		resp, err = http.ReadResponse(c.r, &http.Request{Method: method})
	}
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	closes = err != nil || resp.Close
	return answer{resp, string(body)}, err
}

func (c *connection) close() {
	if c != nil && c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// send opens a connection for one request in the bytes of HTTP/1.1. It may be that there is no answer.
func (p *proxy) send(request string, timeout time.Duration) (answer, bool) {
	var none *connection
	c, err := none.open(p)
	if err != nil {
		return answer{}, false
	}
	defer c.close()
	a, err := c.ask(request, timeout)
	return a, err == nil
}
