package envoytest

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

// Traffic is clients that send the same request again and again, without a pause, on connections that they keep. It is leaner than
// http.Client, so that two cores are enough for millions of requests.
type Traffic struct {
	p        *Proxy
	stopped  atomic.Bool
	clients  sync.WaitGroup
	requests atomic.Int64
	failed   atomic.Int64
	first    atomic.Pointer[error] // failure
}

// Answer is one response to a Traffic's request.
type Answer struct {
	*http.Response
	Text string // the body
}

// OK wants status 200.
func OK(a Answer) error {
	if a.StatusCode != http.StatusOK {
		return fmt.Errorf("want status 200, got %d: %s", a.StatusCode, a.Text)
	}
	return nil
}

// Traffic starts clients for path, whose every answer is checked, with headers given as lines. It ends with the test or with Stop.
func (p *Proxy) Traffic(clients int, path string, check func(Answer) error, headers ...string) *Traffic {
	p.T.Helper()
	request := "GET " + path + " HTTP/1.1\r\nhost: test\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
	tr := &Traffic{p: p}
	for range clients {
		tr.clients.Go(func() {
			var c *connection
			for !tr.stopped.Load() {
				var err error
				if c, err = c.open(p); err == nil {
					var a Answer
					if a, err = c.ask(request, Timeout); err == nil {
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
	p.T.Cleanup(func() { tr.end() })
	return tr
}

// AtLeast waits until that many requests more were answered.
func (tr *Traffic) AtLeast(n int) {
	tr.p.T.Helper()
	end := tr.requests.Load() + int64(n)
	for deadline := time.Now().Add(10 * time.Minute); tr.requests.Load() < end; time.Sleep(time.Millisecond) {
		require.True(tr.p.T, time.Now().Before(deadline), "only %d requests", tr.requests.Load())
	}
}

// Requests is how many were answered so far.
func (tr *Traffic) Requests() int { return int(tr.requests.Load()) }

// Stop ends the traffic and wants that no request failed.
func (tr *Traffic) Stop() {
	tr.p.T.Helper()
	tr.end()
	if first := tr.first.Load(); first != nil {
		require.NoError(tr.p.T, *first, "%d of %d requests failed. the first", tr.failed.Load(), tr.requests.Load())
	}
}

func (tr *Traffic) end() {
	tr.stopped.Store(true)
	tr.clients.Wait()
}

// connection is one to the proxy.
type connection struct {
	conn net.Conn // nil when closed
	r    *bufio.Reader
}

// open returns c, or another connection if c is nil or closed.
func (c *connection) open(p *Proxy) (*connection, error) {
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
func (c *connection) ask(request string, timeout time.Duration) (Answer, error) {
	closes := true
	defer func() {
		if closes {
			c.close()
		}
	}()
	if err := c.conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return Answer{}, err
	}
	if _, err := io.WriteString(c.conn, request); err != nil {
		return Answer{}, err
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(c.r, &http.Request{Method: method})
	for err == nil && resp.StatusCode/100 == 1 {
		resp, err = http.ReadResponse(c.r, &http.Request{Method: method})
	}
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	closes = err != nil || resp.Close
	return Answer{resp, string(body)}, err
}

func (c *connection) close() {
	if c != nil && c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// Send opens a connection for one request in the bytes of HTTP/1.1. It may be that there is no answer.
func (p *Proxy) Send(request string, timeout time.Duration) (Answer, bool) {
	var none *connection
	c, err := none.open(p)
	if err != nil {
		return Answer{}, false
	}
	defer c.close()
	a, err := c.ask(request, timeout)
	return a, err == nil
}
