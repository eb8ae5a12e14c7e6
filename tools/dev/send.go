package dev

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/example"
)

// request is what the page sends.
type request struct {
	Method  string     `json:"method"`
	Path    string     `json:"path"`
	Headers [][]string `json:"headers"` // name and value
	Body    string     `json:"body"`
	// The request of an example: its configuration and services are taken, its upstream answers, and what it wants is compared.
	Example *struct {
		File  string `json:"file"`
		Index int    `json:"index"`
	} `json:"example"`
}

// outcome is what became of it.
type outcome struct {
	Problem  string    `json:"problem"` // why there is no answer
	Status   int       `json:"status"`
	Headers  []header  `json:"headers"`
	Body     string    `json:"body"`
	Millis   float64   `json:"millis"`
	Trace    *traced   `json:"trace"`
	Upstream *upstream `json:"upstream"` // what the upstream got; null when nothing came there
	Compared bool      `json:"compared"` // with what the example wants
	Differs  []string  `json:"differs"`
}

type upstream struct {
	Body     string `json:"body"`
	Answered string `json:"answered"`
}

// header is one name and its values.
type header struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// sent is the request that is out, for the backend.
type sent struct {
	id     string
	answer *example.Answer // nil: the echo

	mu  sync.Mutex
	got *example.Message
	own *recorderOf
}

// recorderOf keeps the body that is answered.
type recorderOf struct {
	http.ResponseWriter
	body strings.Builder
}

func (r *recorderOf) Write(p []byte) (int, error) {
	if r.body.Len() < largest {
		r.body.Write(p)
	}
	return r.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (r *recorderOf) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (s *sent) serve(w http.ResponseWriter, r *http.Request) {
	m := example.Received(r)
	own := &recorderOf{ResponseWriter: w}
	s.mu.Lock()
	s.got, s.own = m, own
	s.mu.Unlock()
	if s.answer != nil {
		s.answer.Write(own, r)
		return
	}
	sandbox.Echo(own, r)
}

var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	Timeout:       20 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// send sends one request through the chain. One is out at a time.
func (s *session) send(ctx context.Context, in request) outcome {
	s.backend.one.Lock()
	defer s.backend.one.Unlock()
	var of *example.Request
	if in.Example != nil {
		e, err := s.useExample(ctx, in.Example.File)
		if err != nil {
			return outcome{Problem: err.Error()}
		}
		if in.Example.Index < 0 || in.Example.Index >= len(e.Requests) {
			return outcome{Problem: in.Example.File + " has no such request any more"}
		}
		of = &e.Requests[in.Example.Index]
	}
	var deadline time.Time
	if of != nil {
		deadline = time.Now().Add(of.Within)
	}
	for {
		out := s.once(ctx, in, of)
		if len(out.Differs) == 0 && out.Problem == "" || ctx.Err() != nil || !time.Now().Before(deadline) {
			return out
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *session) once(ctx context.Context, in request, of *example.Request) outcome {
	out := outcome{}
	proxy := s.current()
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	if !strings.HasPrefix(in.Path, "/") {
		return outcome{Problem: fmt.Sprintf("path %q: want one that starts with /", in.Path)}
	}
	req, err := http.NewRequestWithContext(ctx, in.Method, proxy.URL()+in.Path, strings.NewReader(in.Body))
	if err != nil {
		return outcome{Problem: err.Error()}
	}
	expect := &sent{id: rand.Text()}
	if of != nil {
		expect.answer = &of.Answer
		req.Host = "example.test"
		req.Header.Set("User-Agent", "example")
	} else {
		req.Header.Set("User-Agent", "wasmfleet dev")
	}
	for _, h := range in.Headers {
		switch {
		case len(h) != 2 || h[0] == "":
		case strings.EqualFold(h[0], "host"):
			req.Host = h[1]
		default:
			req.Header.Add(h[0], h[1])
		}
	}
	req.Header.Set("X-Request-Id", expect.id)
	s.backend.await(expect)
	defer s.backend.await(nil)
	began := time.Now()
	resp, err := client.Do(req)
	var message *example.Message
	if err != nil {
		out.Problem = strings.TrimPrefix(err.Error(), fmt.Sprintf("%s %q: ", in.Method, req.URL))
	} else {
		body, readErr := io.ReadAll(io.LimitReader(resp.Body, largest))
		resp.Body.Close()
		if readErr != nil && (of == nil || of.Answer.Fault != example.Cut) {
			out.Problem = "the answer does not end: " + readErr.Error()
		}
		out.Status, out.Body = resp.StatusCode, string(body)
		message = &example.Message{Status: resp.StatusCode, Headers: example.Headers(resp.Header), Body: string(body)}
		for _, name := range sortedKeys(resp.Header) {
			out.Headers = append(out.Headers, header{strings.ToLower(name), resp.Header[name]})
		}
	}
	out.Millis = float64(time.Since(began).Microseconds()) / 1000
	proxy.SyncLog()
	out.Trace = s.recorder.find(expect.id)
	expect.mu.Lock()
	got, own := expect.got, expect.own
	expect.mu.Unlock()
	if got != nil {
		out.Upstream = &upstream{Body: got.Body, Answered: own.body.String()}
		delete(got.Headers, "x-request-id")
	}
	if of != nil && out.Problem == "" {
		out.Compared = true
		out.Differs = append(of.Upstream.Differences("upstream", got), of.Client.Differences("client", message)...)
	}
	return out
}

// useExample takes the configuration and the services of an example, as far as they are not taken already.
func (s *session) useExample(ctx context.Context, file string) (*example.Example, error) {
	if file != filepath.Base(file) {
		return nil, errors.New("want the name of an example")
	}
	e, err := example.Read(filepath.Join(s.o.filters(), s.filter.Name, "examples", file))
	if err != nil {
		return nil, err
	}
	config, err := structpb.NewStruct(e.Config)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.config = config
	for name, handler := range e.Handlers() {
		host, port, _ := net.SplitHostPort(name)
		n, _ := strconv.Atoi(port) // the example was checked
		address, err := s.services.Serve(handler)
		if err != nil {
			return nil, err
		}
		s.called[envoy.OutboundCluster(host, n)] = address
	}
	if err := s.applyLocked(ctx, false); err != nil {
		return nil, err
	}
	if refused := s.errs["refused"]; refused != "" {
		return nil, errors.New(refused)
	}
	return e, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
