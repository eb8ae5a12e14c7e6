package run

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/modules"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/standin"
)

// session is one run of one environment.
type session struct {
	env       manifests.Environment
	namespace string // whose proxy this is; empty until what is rendered says it
	envoy     string
	filters   string
	modules   *modules.Source

	services standin.Services
	proxy    *sandbox.Proxy
	chain    []*version // in service, in order
	accepted map[[2][sha256.Size]byte]bool

	mu     sync.Mutex
	stderr io.Writer
}

func newSession(o options, env manifests.Environment, envoy string, stderr io.Writer) *session {
	s := &session{
		env:       env,
		namespace: o.namespace,
		envoy:     envoy,
		filters:   o.filters,
		accepted:  map[[2][sha256.Size]byte]bool{},
		stderr:    stderr,
	}
	s.modules = modules.New(modules.Options{Build: o.build, Filters: o.filters, PlainHTTP: o.plainHTTP}, s.say)
	return s
}

// run returns when it is interrupted or Envoy ends.
func (s *session) run(ctx context.Context, listen netip.AddrPort, stdout io.Writer) error {
	if err := sandbox.CheckFree(listen); err != nil {
		return explainListen(listen, err)
	}
	files, err := plugin.Files(s.env.Rendered())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	plugins, err := s.plugins(files)
	if err != nil {
		return cli.Finding("%w", err)
	}
	versions, err := s.resolveAll(ctx, plugins)
	if err != nil {
		return err
	}
	defer s.services.Stop()
	backend, err := s.services.Serve(sandbox.Echo)
	if err != nil {
		return err
	}
	upstreams, err := s.upstreams(versions)
	if err != nil {
		return err
	}
	s.proxy, err = sandbox.Start(ctx, sandbox.Config{
		Envoy:     s.envoy,
		Listen:    listen,
		Backend:   backend,
		Filters:   filters(versions),
		Upstreams: upstreams,
		Log:       s.forward,
	})
	if err != nil {
		return explainListen(listen, err)
	}
	defer s.proxy.Stop()
	s.chain = versions
	s.services.AwaitCalls(ctx, time.Second)
	s.summarize()
	if _, err := fmt.Fprintln(stdout, s.proxy.URL()); err != nil {
		return err
	}
	return s.watch(ctx, files)
}

// plugins are the rendered ones that a proxy of the namespace gets: those of the namespace and of the mesh's root namespace.
func (s *session) plugins(files map[string][]byte) (chain []*plugin.Plugin, err error) {
	all, err := plugin.Plugins(files)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf(`no WasmPlugin in %s. run "make render ENV=%s"`, s.env.Rendered(), s.env.Name)
	}
	root := s.env.Selection().RootNamespace
	namespaces := map[string]bool{}
	for _, p := range all {
		namespaces[p.Namespace] = p.Namespace != root
	}
	maps.DeleteFunc(namespaces, func(_ string, own bool) bool { return !own })
	known := slices.Sorted(maps.Keys(namespaces))
	if s.namespace == "" && len(known) > 0 {
		if s.namespace = known[0]; len(known) > 1 {
			s.say("a proxy of namespace %s. --namespace (NAMESPACE= for make) takes another of %s", s.namespace, strings.Join(known, ", "))
		}
	}
	for _, p := range all {
		if p.Namespace == s.namespace || p.Namespace == root {
			chain = append(chain, p)
		}
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("nothing in %s is for namespace %q. namespaces: %s", s.env.Rendered(), s.namespace, strings.Join(known, ", "))
	}
	return chain, nil
}

// resolveAll resolves every plugin. Of several errors it says all and returns the last.
func (s *session) resolveAll(ctx context.Context, plugins []*plugin.Plugin) (versions []*version, err error) {
	for _, p := range plugins {
		v, failed := s.resolve(ctx, p)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if failed != nil {
			if err != nil {
				s.say("%v", err)
			}
			err = failed
		}
		versions = append(versions, v)
	}
	return versions, err
}

func filters(versions []*version) (filters []sandbox.Filter) {
	for _, v := range versions {
		filters = append(filters, v.Filter)
	}
	return filters
}

// upstreams are the addresses of the stand-ins, by cluster.
func (s *session) upstreams(versions []*version) (map[string]netip.AddrPort, error) {
	upstreams := map[string]netip.AddrPort{}
	for _, v := range versions {
		for cluster, purpose := range v.callouts {
			address, err := s.services.Address(purpose)
			if err != nil {
				return nil, err
			}
			upstreams[cluster] = address
		}
	}
	return upstreams, nil
}

func explainListen(listen netip.AddrPort, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use. choose another address with --listen; port 0 takes a free one", listen)
	}
	return err
}

// say prints one line.
func (s *session) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.stderr, "run:", strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
}

// forward passes on what the filters complain about, and their traps.
func (s *session) forward(e envoy.LogEntry) {
	switch {
	case !e.AtLeast("warning") || e.Logger != "wasm" && e.Logger != "":
	case e.Plugin != "":
		s.say("%s: %s: %s", e.Plugin, e.Level, strings.TrimPrefix(e.Message, e.Plugin+": "))
	default:
		s.say("envoy: %s: %s", e.Level, e.Message)
	}
}

// summarize says what is in service, in the order that requests meet it.
func (s *session) summarize() {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.stderr, "run: %s in the order of the chain. there is one listener here, so match and selector are not applied\n", s.env.Name)
	table := tabwriter.NewWriter(s.stderr, 0, 0, 2, ' ', 0)
	for _, v := range s.chain {
		priority := "unset"
		if p := v.Plugin.Spec.Priority; p != nil {
			priority = fmt.Sprint(p.Value)
		}
		fmt.Fprintf(table, "  %s/%s\t%s\tpriority %s\tmatch %s\t%s\n",
			v.Plugin.Namespace, v.Plugin.Name, v.Plugin.PhaseName(), priority, matches(v.Plugin), v.ref)
	}
	_ = table.Flush()
	for _, v := range s.chain {
		for cluster, purpose := range v.callouts {
			fmt.Fprintf(s.stderr, "run: %s calls %s: a %s service on this machine answers\n", v.Plugin.Name, cluster, purpose)
		}
	}
	fmt.Fprintf(s.stderr, "run: Envoy's admin interface is %s\n", s.proxy.Admin())
}

func matches(p *plugin.Plugin) string {
	var all []string
	for _, m := range p.Spec.Match {
		one := m.Mode.String()
		for _, port := range m.Ports {
			one += fmt.Sprintf(":%d", port.Number)
		}
		all = append(all, one)
	}
	if len(all) == 0 {
		return "all"
	}
	return strings.Join(slices.Compact(all), ",")
}
