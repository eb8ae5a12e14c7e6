package example

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
)

// Options are what an example runs with.
type Options struct {
	Envoy  string // path of the program
	Filter string // its name
	Module []byte // build/<filter>.wasm, or any other module of the filter
	Log    func(envoy.LogEntry)
}

// Run starts an Envoy with the filter, sends the requests and returns what became of each. The error says, by file and line,
// everything that is not as wanted.
func (e *Example) Run(ctx context.Context, o Options) ([]Seen, error) {
	s, err := e.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	defer s.Stop()
	return s.All(ctx)
}

// All sends the requests of the example, in their order. The error says what is not as wanted.
func (s *Session) All(ctx context.Context) (all []Seen, err error) {
	for i := range s.example.Requests {
		seen, err := s.request(ctx, i)
		if err != nil {
			return all, err
		}
		all = append(all, seen)
	}
	s.countCalls()
	s.findTraps(ctx)
	return all, errors.Join(s.wrong...)
}

// Session is an example at work. Requests come one at a time, so what reaches the upstream belongs to the one that is out.
type Session struct {
	Proxy  *sandbox.Proxy
	Filter sandbox.Filter // in service when the session has started

	example *Example
	stops   []func()

	mu      sync.Mutex
	current *Request
	seen    *Message       // by the upstream, of the current request
	calls   map[string]int // of each service
	traps   []string
	wrong   []error
}

// Start starts an Envoy with the filter and what it calls. The caller must call Stop.
func (e *Example) Start(ctx context.Context, o Options) (*Session, error) {
	f, err := e.Plugin(o)
	if err != nil {
		return nil, err
	}
	s := &Session{Filter: f, example: e, calls: map[string]int{}}
	if err := s.start(ctx, o); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Session) start(ctx context.Context, o Options) (err error) {
	config := sandbox.Config{
		Envoy: o.Envoy, Filters: []sandbox.Filter{s.Filter}, Workers: s.example.Workers, LogLevel: "info",
		Upstreams: map[string]netip.AddrPort{},
		Log: func(entry envoy.LogEntry) {
			s.log(entry)
			if o.Log != nil {
				o.Log(entry)
			}
		},
	}
	if config.Backend, err = s.serve(http.HandlerFunc(s.upstream)); err != nil {
		return err
	}
	for name, service := range s.example.Services {
		host, port, _ := net.SplitHostPort(name)
		n, _ := strconv.Atoi(port) // check has read it
		address, err := s.serve(s.service(name, service))
		if err != nil {
			return err
		}
		config.Upstreams[envoy.OutboundCluster(host, n)] = address
	}
	if s.Proxy, err = sandbox.Start(ctx, config); err != nil {
		return fmt.Errorf("%s: %w", s.example.at("config"), err)
	}
	return nil
}

// Stop ends Envoy and the services.
func (s *Session) Stop() {
	if s.Proxy != nil {
		s.Proxy.Stop()
	}
	for _, stop := range s.stops {
		stop()
	}
}

// Last sends the last request of the example once more, after All, as often and as patiently as it says. The error says what is not as wanted.
func (s *Session) Last(ctx context.Context) error {
	s.wrong = nil
	if _, err := s.request(ctx, len(s.example.Requests)-1); err != nil {
		return err
	}
	s.findTraps(ctx)
	return errors.Join(s.wrong...)
}

// Handlers are those of what the filter calls, by host:port, for a proxy of the caller's; nil where nobody listens.
func (e *Example) Handlers() map[string]http.Handler {
	s := &Session{example: e, calls: map[string]int{}}
	handlers := map[string]http.Handler{}
	for name, service := range e.Services {
		handlers[name] = s.service(name, service)
	}
	return handlers
}

// Plugin is the example's configuration as a WasmPlugin with the module.
func (e *Example) Plugin(o Options) (sandbox.Filter, error) {
	spec := map[string]any{"url": "filter://" + o.Filter, "pluginName": o.Filter, "failStrategy": "FAIL_RELOAD"}
	if e.Config != nil {
		spec["pluginConfig"] = e.Config
	}
	object, err := json.Marshal(map[string]any{
		"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin",
		"metadata": map[string]any{"name": o.Filter, "namespace": "example"}, "spec": spec,
	})
	if err != nil {
		return sandbox.Filter{}, fmt.Errorf("%s: %w", e.at("config"), err)
	}
	plugins, err := plugin.Plugins(map[string][]byte{e.File: object})
	if err != nil {
		return sandbox.Filter{}, err
	}
	return sandbox.Filter{Plugin: plugins[0], Module: o.Module}, nil
}

func (s *Session) serve(h http.Handler) (netip.AddrPort, error) {
	address, stop, err := sandbox.Serve(h)
	if err != nil {
		return address, err
	}
	if h == nil {
		stop()
	} else {
		s.stops = append(s.stops, stop)
	}
	return address, nil
}

var trap = regexp.MustCompile(`Uncaught RuntimeError|proxy_on_\w+ failed`)

func (s *Session) log(e envoy.LogEntry) {
	if trap.MatchString(e.Message) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.traps = append(s.traps, e.Message)
	}
}

func (s *Session) fail(at, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, fmt.Errorf("%s: %s", at, fmt.Sprintf(format, args...)))
}

// upstream is the handler behind the proxy.
func (s *Session) upstream(w http.ResponseWriter, r *http.Request) {
	m := Received(r)
	s.mu.Lock()
	current := s.current
	s.seen = m
	s.mu.Unlock()
	if current == nil { // the client has given up
		return
	}
	current.Answer.Write(w, r)
}

// service is the handler of what the filter calls; nil when nobody listens.
func (s *Session) service(name string, service Service) http.Handler {
	if service.Answers[0].Fault == Down {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := Received(r)
		s.mu.Lock()
		n := s.calls[name]
		s.calls[name]++
		s.mu.Unlock()
		for _, d := range service.Sees.Differences("service "+name, m) {
			s.fail(s.example.at("services", name, "sees"), "%s", d)
		}
		service.Answers[min(n, len(service.Answers)-1)].Write(w, r)
	})
}

// Write gives the answer to a request, or does what the fault is instead.
func (a Answer) Write(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(a.Delay):
	case <-r.Context().Done():
		return
	}
	status := a.Status
	if status == 0 {
		status = http.StatusOK
	}
	switch a.Fault {
	case Reset:
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			conn.Close()
		}
		return
	case Silence:
		<-r.Context().Done()
		return
	case Cut:
		w.Header().Set("content-length", strconv.Itoa(len(a.Body)+1))
	}
	w.Header()["Date"] = nil
	for name, values := range a.Headers {
		w.Header()[http.CanonicalHeaderKey(name)] = values
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, a.Body) // a caller that went away is no concern of ours
}

// pollInterval is how long a request that may be repeated waits before it is.
const pollInterval = 20 * time.Millisecond

// request sends one, as often as it says, and returns what became of it the last time.
func (s *Session) request(ctx context.Context, i int) (seen Seen, err error) {
	r := &s.example.Requests[i]
	name := fmt.Sprintf("request %d", i+1)
	if r.Description != "" {
		name += fmt.Sprintf(" (%s)", r.Description)
	}
	deadline := time.Now().Add(r.Within)
	for n := 0; n < max(r.Times, 1); {
		var differences []string
		if seen, err = s.send(ctx, r); err != nil {
			differences = []string{"client: " + err.Error()}
		} else {
			differences = append(r.Upstream.Differences("upstream", seen.Upstream), r.Client.Differences("client", seen.Client)...)
		}
		switch {
		case ctx.Err() != nil:
			return seen, ctx.Err()
		case len(differences) == 0:
			n++
		case time.Now().Before(deadline) && n == 0:
			time.Sleep(pollInterval)
		default:
			for _, d := range differences {
				s.fail(s.example.at("requests", i), "%s: %s", name, d)
			}
			return seen, nil
		}
	}
	return seen, nil
}

var client = &http.Client{
	// A connection of its own reaches any worker.
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (s *Session) send(ctx context.Context, r *Request) (Seen, error) {
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	path := r.Path
	if path == "" {
		path = "/"
	}
	req, err := http.NewRequestWithContext(ctx, method, s.Proxy.URL()+path, strings.NewReader(r.Body))
	if err != nil {
		return Seen{}, err
	}
	req.Host = "example.test"
	req.Header.Set("user-agent", "example")
	for name, values := range r.Headers {
		req.Header[http.CanonicalHeaderKey(name)] = values
		if strings.EqualFold(name, "host") && len(values) == 1 {
			req.Host = values[0]
		}
	}
	s.mu.Lock()
	s.current, s.seen = r, nil
	s.mu.Unlock()
	resp, err := client.Do(req)
	if err != nil {
		return Seen{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = nil
	seen := Seen{s.seen, &Message{Status: resp.StatusCode, Headers: Headers(resp.Header), Body: string(body)}}
	if r.Answer.Fault == Cut {
		err = nil // the client sees that as well
	}
	return seen, err
}

// Received is a request as a server got it.
func Received(r *http.Request) *Message {
	body, _ := io.ReadAll(r.Body) // what arrived is compared
	m := &Message{Method: r.Method, Path: r.URL.RequestURI(), Headers: Headers(r.Header), Body: string(body)}
	m.Headers["host"] = []string{r.Host}
	return m
}

// volatile are the headers that differ from run to run.
var volatile = []string{"date", "x-request-id", "x-envoy-upstream-service-time"}

// Headers are those of a message, without what differs from run to run.
func Headers(h http.Header) map[string][]string {
	out := map[string][]string{}
	for name, values := range h {
		if name = strings.ToLower(name); !slices.Contains(volatile, name) {
			out[name] = values
		}
	}
	return out
}

func (s *Session) countCalls() {
	for name, service := range s.example.Services {
		s.mu.Lock()
		got := s.calls[name]
		s.mu.Unlock()
		if service.Calls != nil && got != *service.Calls {
			s.fail(s.example.at("services", name, "calls"), "service %s: want %d calls, got %d", name, *service.Calls, got)
		}
	}
}

// findTraps fails the example when a VM trapped, whatever the answers were.
func (s *Session) findTraps(ctx context.Context) {
	stats, err := s.Proxy.Stats(ctx, `^wasm\..*\.vm_reload(_success|_backoff|_failure)?$`)
	if err != nil {
		s.fail(s.example.at(), "asking Envoy for its counters: %v", err)
	}
	for _, n := range stats {
		if n > 0 {
			s.fail(s.example.at(), "the filter trapped, and its VM was started anew")
			break
		}
	}
	s.Proxy.SyncLog()
	s.mu.Lock()
	traps := s.traps
	s.mu.Unlock()
	if len(traps) > 0 {
		s.fail(s.example.at(), "the filter trapped: %s", traps[0])
	}
}
