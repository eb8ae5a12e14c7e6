// Package sandbox is a proxy on this machine: a real Envoy on the loopback that runs filters from files and takes new versions
// of them while it serves.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

const (
	listenerName = "sandbox"
	// As Istio names the cluster of a service, so that filters which look at it see a host: backend.internal.
	backendCluster = "outbound|80||backend.internal"
	readyTimeout   = 60 * time.Second
	changeTimeout  = 30 * time.Second
	pollInterval   = 3 * time.Millisecond
)

// Filter is a plugin and the module that it runs.
type Filter struct {
	Plugin *plugin.Plugin
	Module []byte
	// HoldsHeaders lets ActionPause in headers stop them, too: what an EnvoyFilter says of a filter with stopIteration.
	HoldsHeaders bool
}

// Config is what a Proxy starts with. Only Envoy and Backend are required.
type Config struct {
	Envoy     string                    // path of the program
	Backend   netip.AddrPort            // where requests go
	Listen    netip.AddrPort            // zero or with port 0: a free port of the loopback
	Filters   []Filter                  // in the order of the chain
	Upstreams map[string]netip.AddrPort // by name: the clusters that the filters call
	Routes    []*routev3.Route          // tried before the backend
	Workers   int                       // threads, each with its own instance of every filter; 2 when zero
	LogLevel  string                    // of what the filters log; warning when empty
	Log       func(envoy.LogEntry)
	Taps      bool // log what passes between the filters, for ParseTap
}

// Proxy is a running Envoy.
type Proxy struct {
	dir     files
	process *envoy.Process
	admin   envoy.Admin
	address netip.AddrPort

	listen    netip.AddrPort
	routes    []*routev3.Route
	taps      bool
	upstreams map[string]netip.AddrPort
	chain     []string                                // ids of the filters in service, in order
	serving   map[string]*corev3.TypedExtensionConfig // by id
	refused   map[string]refusal                      // by id
}

// Start returns when the proxy serves. The caller must call Stop.
func Start(ctx context.Context, c Config) (*Proxy, error) {
	if !c.Listen.IsValid() {
		c.Listen = netip.MustParseAddrPort("127.0.0.1:0")
	}
	if err := CheckFree(c.Listen); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "wasmfleet-sandbox-")
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		dir:       files(dir),
		listen:    c.Listen,
		taps:      c.Taps,
		routes:    append(slices.Clone(c.Routes), envoy.Route("/", backendCluster)),
		upstreams: map[string]netip.AddrPort{backendCluster: c.Backend},
		serving:   map[string]*corev3.TypedExtensionConfig{},
		refused:   map[string]refusal{},
	}
	if err := p.start(ctx, c); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// CheckFree reports whether somebody listens on the address. Envoy would start all the same, without its listener.
func CheckFree(address netip.AddrPort) error {
	l, err := net.Listen("tcp", address.String())
	if err != nil {
		return err
	}
	return l.Close()
}

func (p *Proxy) start(ctx context.Context, c Config) error {
	var plugins []*plugin.Plugin
	for _, f := range c.Filters {
		plugins = append(plugins, f.Plugin)
		resource, err := p.dir.extension(f)
		if err != nil {
			return err
		}
		if err := p.dir.writeFilter(resource); err != nil {
			return err
		}
		p.serving[resource.Name] = resource
		p.chain = append(p.chain, resource.Name)
	}
	maps.Copy(p.upstreams, c.Upstreams)
	if err := errors.Join(
		p.dir.writeBootstrap(),
		p.dir.writeClusters(p.upstreams),
		p.writeListener(p.chain),
	); err != nil {
		return err
	}
	workers := c.Workers
	if workers == 0 {
		workers = 2
	}
	level := c.LogLevel
	if level == "" {
		level = "warning"
	}
	log := c.Log
	if log == nil {
		log = func(envoy.LogEntry) {}
	}
	var err error
	p.process, err = envoy.Start(c.Envoy, append([]string{
		"--config-path", p.dir.bootstrap(),
		"--admin-address-path", p.dir.adminAddress(),
		"--concurrency", strconv.Itoa(workers),
		"--log-level", "warning", "--component-log-level", "wasm:" + level + ",lua:info",
		"--disable-hot-restart",
		// A changed chain serves new connections at once; the old ones are asked to close and have this long to do so.
		"--drain-time-s", "5", "--drain-strategy", "immediate",
	}, envoy.LogFlags...), plugin.Placeholders(plugins...), log) // who comes later has to do with our environment
	if err != nil {
		return err
	}
	if err := p.waitReady(ctx); err != nil {
		return err
	}
	return p.failed(ctx, p.chain)
}

// waitReady returns when the listener serves.
func (p *Proxy) waitReady(ctx context.Context) error {
	return p.wait(ctx, readyTimeout, "Envoy to start", func() (bool, error) {
		if p.admin == "" {
			address, err := os.ReadFile(p.dir.adminAddress())
			if err != nil || len(address) == 0 {
				return false, nil
			}
			p.admin = envoy.Admin("http://" + strings.TrimSpace(string(address)))
		}
		if _, err := p.admin.Get(ctx, "/ready"); err != nil {
			return false, nil // 503 until all is loaded
		}
		var ready bool
		var err error
		p.address, ready, err = p.admin.Listener(ctx, listenerName)
		if err == nil && !ready {
			// Envoy is ready without its listener when it has refused it.
			const refused = "listener_manager.lds.update_rejected"
			if s, failed := p.admin.Stats(ctx, "^"+refused+"$"); failed == nil && s[refused] > 0 {
				err = errors.New(p.reason(0))
			}
		}
		return ready, err
	})
}

// failed reports the filters that were refused when they were first loaded: Envoy answers 500 in their place.
func (p *Proxy) failed(ctx context.Context, ids []string) error {
	var errs []error
	for _, id := range ids {
		s, err := p.discovery(ctx, id)
		if err == nil && s.failed > 0 {
			err = &Refused{ID: id, Reason: p.reason(0)}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// URL is where the proxy listens.
func (p *Proxy) URL() string { return "http://" + p.address.String() }

// Admin is the URL of Envoy's admin interface.
func (p *Proxy) Admin() string { return string(p.admin) }

// PID is that of Envoy.
func (p *Proxy) PID() int { return p.process.PID() }

// SyncLog returns when all that Envoy has logged so far was given to Config.Log.
func (p *Proxy) SyncLog() { p.process.Sync() }

// Stats are Envoy's counters and gauges whose names match the regular expression.
func (p *Proxy) Stats(ctx context.Context, filter string) (map[string]int, error) {
	return p.admin.Stats(ctx, filter)
}

// Done is closed when Envoy has ended.
func (p *Proxy) Done() <-chan struct{} { return p.process.Done() }

// Err says how Envoy ended and what it logged last.
func (p *Proxy) Err() error {
	<-p.process.Done()
	var last []string
	for _, e := range p.process.Since(0) {
		last = append(last, e.Message)
	}
	if n := len(last); n > 5 {
		last = last[n-5:]
	}
	return fmt.Errorf("envoy ended (%s). its last words: %s", p.process.State(), strings.Join(last, " | "))
}

// Kill ends Envoy at once: one with a worker that hangs does not end otherwise.
func (p *Proxy) Kill() {
	p.process.Kill()
	p.Stop()
}

// Stop ends Envoy and removes its files.
func (p *Proxy) Stop() {
	if p.process != nil {
		p.process.Stop()
	}
	os.RemoveAll(string(p.dir))
}

// wait polls until done says so.
func (p *Proxy) wait(ctx context.Context, timeout time.Duration, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("waiting for %s: nothing within %s", what, timeout))
	defer cancel()
	for {
		if ok, err := done(); ok || err != nil && ctx.Err() == nil && !p.ended() {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.process.Done():
			return p.Err()
		case <-time.After(pollInterval):
		}
	}
}

func (p *Proxy) ended() bool {
	select {
	case <-p.process.Done():
		return true
	default:
		return false
	}
}
