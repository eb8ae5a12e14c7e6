// Package standin serves what filters call while they run on this machine: for each purpose of a callout a service that answers.
package standin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
)

// handlers are the services for what filters call, by the callout's purpose.
var handlers = map[string]http.Handler{
	"token": sandbox.Tokens,
}

// Services are the servers of this process.
type Services struct {
	known map[string]*standIn // each purpose has one, however many filters call it
	stops []func()
}

// standIn is a service that filters call.
type standIn struct {
	http.Handler
	address netip.AddrPort
	once    sync.Once
	called  chan struct{} // closed when it has answered for the first time
}

// ServeHTTP implements http.Handler.
func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Handler.ServeHTTP(w, r)
	s.once.Do(func() { close(s.called) })
}

// Address is where the stand-in for the purpose listens, from now on.
func (s *Services) Address(purpose string) (netip.AddrPort, error) {
	if known, ok := s.known[purpose]; ok {
		return known.address, nil
	}
	handler, ok := handlers[purpose]
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("no stand-in for a callout of purpose %q", purpose)
	}
	service := &standIn{Handler: handler, called: make(chan struct{})}
	var err error
	service.address, err = s.Serve(service)
	if err == nil {
		if s.known == nil {
			s.known = map[string]*standIn{}
		}
		s.known[purpose] = service
	}
	return service.address, err
}

// Serve serves h until Stop.
func (s *Services) Serve(h http.Handler) (netip.AddrPort, error) {
	address, stop, err := sandbox.Serve(h)
	if err == nil {
		s.stops = append(s.stops, stop)
	}
	return address, err
}

// AwaitCalls waits until each stand-in was called once: before it has its token, a filter may rightly deny requests.
func (s *Services) AwaitCalls(ctx context.Context, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, service := range s.known {
		select {
		case <-service.called:
		case <-ctx.Done():
			return // not every filter calls before it gets a request
		}
	}
}

// Stop ends all servers.
func (s *Services) Stop() {
	for _, stop := range s.stops {
		stop()
	}
}

// Callouts are the purposes of the plugin's callouts by the name of the cluster that it will call. A filter without a
// plugin.yaml, built elsewhere, tells nothing about its callouts.
func Callouts(filters, filter string, p *plugin.Plugin) (map[string]string, error) {
	f, err := catalog.Read(filepath.Join(filters, filter, catalog.File))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	clusters := map[string]string{}
	for _, c := range f.Callouts {
		u := p.Upstream(c)
		switch {
		case u.Err != nil:
			return nil, fmt.Errorf("%s: %s: pluginConfig %s: %w", p.File, p, c.Upstream, u.Err)
		case u.Cluster != "":
			clusters[u.Cluster] = c.Purpose
		}
	}
	return clusters, nil
}
