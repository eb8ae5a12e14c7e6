package dev

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/preflight"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/example"
)

//go:embed page
var pageFiles embed.FS

// largest is what a request to the playground may be.
const largest = 4 << 20

// servePage serves the playground on the loopback until stop is called.
func (s *session) servePage(at netip.AddrPort) (address netip.AddrPort, stop func(), err error) {
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return at, nil, err
	}
	address = l.Addr().(*net.TCPAddr).AddrPort()
	server := &http.Server{Handler: onlyHere(address, s.routes()), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // ends when it is closed
	return address, func() { _ = server.Close() }, nil
}

// onlyHere refuses what does not come from the page itself. A name that somebody made to lead to the loopback (DNS rebinding) has
// another Host, a page in another tab another Origin.
func onlyHere(address netip.AddrPort, next http.Handler) http.Handler {
	hosts := []string{address.String(), fmt.Sprintf("localhost:%d", address.Port())}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		switch site := r.Header.Get("Sec-Fetch-Site"); {
		case !slices.Contains(hosts, r.Host):
			http.Error(w, fmt.Sprintf("Host %q: this page is for %s alone", r.Host, strings.Join(hosts, " and ")), http.StatusForbidden)
			return
		case origin != "" && origin != "http://"+r.Host, site != "" && site != "same-origin" && site != "none":
			http.Error(w, "another page may not ask this one", http.StatusForbidden)
			return
		case r.Method == http.MethodPost && r.Header.Get("Content-Type") != "application/json":
			http.Error(w, "want application/json", http.StatusUnsupportedMediaType)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, largest)
		next.ServeHTTP(w, r)
	})
}

func (s *session) routes() http.Handler {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil {
		panic(err) // it is embedded
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /api/state", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.state()) })
	mux.HandleFunc("GET /api/events", s.events)
	handle(mux, "POST /api/send", s.send)
	handle(mux, "POST /api/config", s.configure)
	return mux
}

func handle[In, Out any](mux *http.ServeMux, pattern string, do func(context.Context, In) Out) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in In
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, do(r.Context(), in))
	})
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a page that went away is no concern of ours
}

// events tells the page what happens, as server-sent events.
func (s *session) events(w http.ResponseWriter, r *http.Request) {
	events, stop := s.recorder.subscribe()
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	control := http.NewResponseController(w)
	for {
		if err := control.Flush(); err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case e := <-events:
			data, err := json.Marshal(e)
			if err != nil {
				return
			}
			if _, err := fmt.Fprintf(w, "data: %s\n\n", data); err != nil {
				return
			}
		}
	}
}

// state is what the page shows before anything is sent.
type state struct {
	Filter    string            `json:"filter"`
	URL       string            `json:"url"`
	Env       string            `json:"env"`
	Chain     []string          `json:"chain"`
	Config    string            `json:"config"`
	Tried     bool              `json:"tried"` // the configuration is the playground's, not the one of the files
	Wrong     map[string]string `json:"wrong"`
	Examples  []shown           `json:"examples"`
	Lines     []string          `json:"lines"`
	Exchanges []traced          `json:"exchanges"` // the newest first
}

// shown is a request of an example.
type shown struct {
	File        string     `json:"file"`
	Index       int        `json:"index"`
	Description string     `json:"description"`
	Method      string     `json:"method"`
	Path        string     `json:"path"`
	Headers     [][]string `json:"headers"`
	Body        string     `json:"body"`
}

func (s *session) state() state {
	st := state{Filter: s.filter.Name, Env: s.o.env, Wrong: map[string]string{}}
	s.mu.Lock()
	st.URL = s.proxy.URL()
	config := s.config
	for _, p := range s.wants {
		if config == nil && p.Name == s.filter.Name {
			config = p.Spec.PluginConfig
		}
	}
	st.Tried = s.config != nil
	for what, text := range s.errs {
		st.Wrong[what] = text
	}
	s.mu.Unlock()
	st.Config = "{}"
	if len(config.GetFields()) > 0 {
		text, err := json.MarshalIndent(config.AsMap(), "", "  ")
		if err == nil {
			st.Config = string(text)
		}
	}
	all, err := example.Load(filepath.Join(s.o.filters(), s.filter.Name))
	if err != nil {
		st.Wrong["examples"] = err.Error()
	}
	for _, e := range all {
		if e == nil {
			continue
		}
		for i, r := range e.Requests {
			st.Examples = append(st.Examples, showRequest(e, i, r))
		}
	}
	s.recorder.mu.Lock()
	defer s.recorder.mu.Unlock()
	st.Chain = slices.Clone(s.recorder.names)
	st.Lines = slices.Clone(s.recorder.lines)
	for _, x := range slices.Backward(s.recorder.exchanges) {
		st.Exchanges = append(st.Exchanges, x.traced())
	}
	return st
}

func showRequest(e *example.Example, i int, r example.Request) shown {
	v := shown{File: filepath.Base(e.File), Index: i, Description: e.Description, Method: r.Method, Path: r.Path, Body: r.Body}
	if r.Description != "" {
		v.Description += ": " + r.Description
	}
	if v.Method == "" {
		v.Method = http.MethodGet
	}
	if v.Path == "" {
		v.Path = "/"
	}
	for _, name := range sortedKeys(r.Headers) {
		for _, value := range r.Headers[name] {
			v.Headers = append(v.Headers, []string{name, value})
		}
	}
	return v
}

// proposal is a configuration that the page asks about.
type proposal struct {
	Text  string `json:"text"`
	Apply bool   `json:"apply"` // and let it serve until the next one, or Reset
	Reset bool   `json:"reset"` // what the files say serves again
}

type verdict struct {
	Problem string `json:"problem"` // empty when the filter takes it
}

// configure holds a configuration against the schema and then against the filter itself, in an Envoy that serves nothing.
func (s *session) configure(ctx context.Context, p proposal) verdict {
	if p.Reset {
		s.mu.Lock()
		s.config = nil
		s.mu.Unlock()
		return s.verdictOf(s.apply(ctx, false))
	}
	config, problem := s.check(ctx, p.Text)
	if problem != "" || !p.Apply {
		return verdict{problem}
	}
	s.mu.Lock()
	s.config = config
	s.mu.Unlock()
	return s.verdictOf(s.apply(ctx, false))
}

func (s *session) verdictOf(err error) verdict {
	if err != nil {
		return verdict{err.Error()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return verdict{s.errs["refused"]}
}

func (s *session) check(ctx context.Context, text string) (config *structpb.Struct, problem string) {
	var members map[string]any
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return nil, jsonProblem(text, err)
	}
	config, err := structpb.NewStruct(members)
	if err != nil {
		return nil, err.Error()
	}
	_, problem, err = preflight.Schema(filepath.Join(s.o.filters(), s.filter.Name), members)
	if err != nil {
		return nil, err.Error()
	}
	if problem != "" {
		return nil, problem + " [schema]"
	}
	s.mu.Lock()
	module, wants := s.module, s.wants
	s.mu.Unlock()
	if module == nil {
		return config, ""
	}
	c, err := s.chain(ctx, wants, module, config)
	if err != nil {
		return nil, err.Error()
	}
	for _, f := range c.filters {
		if f.Plugin.Name != s.filter.Name {
			continue
		}
		var refused *envoy.Refused
		if err := preflight.Check(ctx, s.envoy, f.Plugin, module); errors.As(err, &refused) {
			return nil, refused.Reason
		} else if err != nil {
			return nil, err.Error()
		}
	}
	return config, ""
}

// jsonProblem says the line of what is no JSON.
func jsonProblem(text string, err error) string {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && int(syntax.Offset) <= len(text) {
		return fmt.Sprintf("line %d: %v", 1+strings.Count(text[:syntax.Offset], "\n"), err)
	}
	return fmt.Sprintf("want an object: %v", err)
}
