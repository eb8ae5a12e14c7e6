package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/modules"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/standin"
)

const (
	pollInterval  = 50 * time.Millisecond
	watchInterval = time.Second
)

// session is one run of the verb.
type session struct {
	o        options
	filter   catalog.Filter
	envoy    string
	listen   netip.AddrPort
	modules  *modules.Source
	services standin.Services
	backend  *backend
	recorder *recorder

	mu     sync.Mutex // one change of what serves at a time
	proxy  *sandbox.Proxy
	module []byte           // that was built last
	wants  []*plugin.Plugin // that the files say
	config *structpb.Struct // of the playground, in place of the one of the files; nil when that holds
	called map[string]netip.AddrPort
	errs   map[string]string // what is wrong now, by what was tried

	out    sync.Mutex
	stderr io.Writer
}

func newSession(o options, f catalog.Filter, envoy string, stderr io.Writer) *session {
	s := &session{
		o: o, filter: f, envoy: envoy, stderr: stderr,
		called:   map[string]netip.AddrPort{},
		errs:     map[string]string{},
		recorder: newRecorder(o.filter),
		backend:  &backend{},
	}
	s.recorder.say = s.say
	s.modules = modules.New(modules.Options{Build: o.build(), Filters: o.filters(), PlainHTTP: o.plainHTTP}, s.say)
	return s
}

func (s *session) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.proxy != nil {
		s.proxy.Kill()
	}
	s.services.Stop()
}

// say prints lines, each with the verb's name, and shows them on the page.
func (s *session) say(format string, args ...any) {
	s.out.Lock()
	defer s.out.Unlock()
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		line = strings.TrimRight(line, "\n")
		fmt.Fprintln(s.stderr, "dev:", line)
		s.recorder.publish(event{Kind: "log", Text: line})
	}
}

// run returns when it is interrupted or Envoy cannot be had.
func (s *session) run(ctx context.Context, listen, page netip.AddrPort, stdout io.Writer) error {
	if err := sandbox.CheckFree(listen); err != nil {
		return inUse("--listen", listen, err)
	}
	backend, err := s.services.Serve(s.backend)
	if err != nil {
		return err
	}
	s.backend.address, s.listen = backend, listen
	now, err := s.o.read()
	if err != nil {
		return err
	}
	if err := s.startProxy(ctx); err != nil {
		return err
	}
	address, stop, err := s.servePage(page)
	if err != nil {
		return inUse("--page", page, err)
	}
	defer stop()
	if err := s.follow(ctx, now, reading{}); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdout, "%s\nhttp://%s\n", s.current().URL(), address); err != nil {
		return err
	}
	s.say("requests go to %s, the playground is http://%s. ^C ends both", s.current().URL(), address)
	return s.watch(ctx, now)
}

func inUse(flag string, address netip.AddrPort, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use. choose another address with %s; port 0 takes a free one", address, flag)
	}
	return err
}

// current is the proxy that serves now.
func (s *session) current() *sandbox.Proxy {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proxy
}

func (s *session) startProxy(ctx context.Context) (err error) {
	s.proxy, err = sandbox.Start(ctx, sandbox.Config{
		Envoy: s.envoy, Listen: s.listen, Backend: s.backend.address, LogLevel: "info", Taps: true, Log: s.recorder.log,
	})
	if err != nil {
		return inUse("--listen", s.listen, err)
	}
	if s.listen, err = netip.ParseAddrPort(strings.TrimPrefix(s.proxy.URL(), "http://")); err != nil {
		return err
	}
	return nil
}

// watch follows the files. A change counts when two readings in a row agree on it.
func (s *session) watch(ctx context.Context, followed reading) error {
	previous := followed
	poll, look := time.NewTicker(pollInterval), time.NewTicker(watchInterval)
	defer poll.Stop()
	defer look.Stop()
	for {
		proxy := s.current()
		select {
		case <-ctx.Done():
			return nil
		case <-proxy.Done():
			if ctx.Err() != nil {
				return nil
			}
			if proxy != s.current() {
				continue // replaced meanwhile
			}
			s.say("%v. another one takes its place", proxy.Err())
			if err := s.apply(ctx, true); err != nil {
				return err
			}
		case <-look.C:
			s.lookForHanging(ctx)
		case <-poll.C:
			now, err := s.o.read()
			if err != nil {
				return err
			}
			settled := now.equal(previous)
			previous = now
			if !settled || now.equal(followed) {
				continue
			}
			if err := s.follow(ctx, now, followed); err != nil {
				return err
			}
			followed = now
		}
	}
}

// follow puts what was saved into service. What is wrong in it is said, and what served before serves on; only an Envoy that cannot be
// had is an error.
func (s *session) follow(ctx context.Context, now, before reading) error {
	saved, begun := now.saved(before), time.Now()
	var stages []string
	built := false
	if !maps.Equal(now.sources, before.sources) {
		module, err := s.o.compile(ctx)
		stages = append(stages, fmt.Sprintf("build %.2f s", time.Since(begun).Seconds()))
		if ctx.Err() != nil {
			return nil
		}
		s.wrong("build", err)
		if err != nil {
			s.say("%v", err)
			s.say("%s does not build. %s", s.filter.Name, s.meanwhile())
		} else {
			s.mu.Lock()
			s.module, built = module, true
			s.mu.Unlock()
			s.recorder.built(module)
		}
	}
	if !maps.Equal(now.objects, before.objects) {
		plugins, err := s.o.objects()
		s.wrong("objects", err)
		if err != nil {
			s.say("%v. %s", err, s.meanwhile())
		} else {
			s.mu.Lock()
			s.wants = plugins
			s.mu.Unlock()
		}
	} else if !built {
		return nil
	}
	if s.module == nil || s.wants == nil {
		return nil
	}
	applying := time.Now()
	if err := s.apply(ctx, false); err != nil {
		return err
	}
	stages = append(stages, fmt.Sprintf("into Envoy %.2f s", time.Since(applying).Seconds()))
	s.mu.Lock()
	refused := s.errs["refused"] != ""
	s.mu.Unlock()
	if !refused {
		s.say("%s: in service %.2f s after it was saved (%s)", s.filter.Name, time.Since(saved).Seconds(), strings.Join(stages, ", "))
	}
	return nil
}

func (s *session) meanwhile() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recorder.serves(s.filter.Name) {
		return "the version before serves on"
	}
	return "it is not in service yet"
}

// wrong keeps what is wrong for the page; nil says that it is right again.
func (s *session) wrong(what string, err error) {
	s.mu.Lock()
	if delete(s.errs, what); err != nil {
		s.errs[what] = err.Error()
	}
	s.mu.Unlock()
	s.recorder.publish(event{Kind: "state"})
}

// apply makes what was built and configured last the chain, in another Envoy when this one has ended or a worker of it hangs.
func (s *session) apply(ctx context.Context, anew bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.applyLocked(ctx, anew)
}

func (s *session) applyLocked(ctx context.Context, anew bool) error {
	c, err := s.chain(ctx, s.wants, s.module, s.config)
	if err != nil {
		s.errs["refused"] = err.Error()
		s.say("%v", err)
		return nil
	}
	for _, why := range c.absent {
		s.say("%s", why)
	}
	upstreams, err := s.upstreams(c)
	if err != nil {
		s.errs["refused"] = err.Error()
		s.say("%v", err)
		return nil
	}
	if hanging := s.recorder.hanging(); anew || hanging != "" {
		if hanging != "" {
			s.say("a worker of Envoy hangs in %s, so this Envoy is replaced. requests that wait in it fail", hanging)
		}
		s.proxy.Kill()
		s.recorder.restarted()
		if err := s.startProxy(ctx); err != nil {
			return err
		}
	}
	var names []string
	for _, f := range c.filters {
		names = append(names, f.Plugin.Name)
	}
	refused, err := s.proxy.Apply(ctx, c.filters, upstreams)
	if err != nil && ctx.Err() == nil && !anew {
		s.say("%v. this Envoy is replaced", err)
		s.recorder.restarted()
		s.recorder.chain(nil)
		return s.applyLocked(ctx, true)
	}
	if err != nil {
		return err
	}
	delete(s.errs, "refused")
	for _, r := range refused {
		s.errs["refused"] = r.Error()
		s.say("%v. %s", r, map[bool]string{true: "the version before serves on", false: "it is left out"}[s.recorder.serves(nameOf(c.filters, r.ID))])
		if name := nameOf(c.filters, r.ID); !s.recorder.serves(name) {
			names = slices.DeleteFunc(names, func(n string) bool { return n == name })
		}
	}
	s.recorder.chain(names)
	s.recorder.publish(event{Kind: "state"})
	return nil
}

func nameOf(filters []sandbox.Filter, id string) string {
	for _, f := range filters {
		if f.Plugin.ID() == id {
			return f.Plugin.Name
		}
	}
	return id
}

// lookForHanging asks Envoy whether a worker does not come back, and says which requests wait in which filter.
func (s *session) lookForHanging(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	stats, err := s.current().Stats(ctx, `^server\.worker_\d+\.watchdog_mega_miss$|^http\.sandbox\.downstream_rq_active$`)
	if err != nil {
		return // an Envoy that has ended is seen elsewhere
	}
	missed, active := 0, 0
	for name, n := range stats {
		if strings.HasPrefix(name, "server.") {
			missed += n
		} else {
			active += n
		}
	}
	s.recorder.waiting(time.Now(), missed, active)
}

// backend is what stands behind the proxy: it echoes, or answers as the request of the playground says.
type backend struct {
	address netip.AddrPort

	one sync.Mutex // request of the playground at a time

	mu     sync.Mutex
	expect *sent
}

func (b *backend) await(expect *sent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.expect = expect
}

// ServeHTTP implements http.Handler.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	expect := b.expect
	b.mu.Unlock()
	if id := r.Header.Get("X-Request-Id"); expect != nil && (id == "" || id == expect.id) {
		expect.serve(w, r)
		return
	}
	sandbox.Echo(w, r)
}
