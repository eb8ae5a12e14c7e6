// Package envoytest is for tests of compiled filters in a real Envoy. A test starts a proxy with filters and talks to it:
//
//	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(envoytest.Filter(t, "mine", `{name: hello, value: world}`))})
//	require.Equal(t, "world", p.Get("/").Header.Get("hello"))
//
// A filter's own tests of this kind stand beside it, in files *_envoy_test.go of the package main_test with the build tag envoy:
//
//	make build && go test -tags envoy ./filters/mine
//
// Everything listens on the loopback and ends with the test. When a test fails, Envoy's log is shown.
package envoytest

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
)

// What a test waits for takes milliseconds on a machine that has nothing else to do.
const (
	Timeout  = 20 * time.Second
	Interval = 5 * time.Millisecond
)

// Size is the size of a test: short for every "make test", soak for "make soak", which has the build tag soak.
func Size[T any](short, soak T) T {
	if long {
		return soak
	}
	return short
}

// Setup is what a test wants beside the defaults.
type Setup struct {
	Filters  []sandbox.Filter        // in the order of the chain
	Backend  http.Handler            // sandbox.Echo
	Services map[string]http.Handler // by host:port: what the filters call. nobody listens where the handler is nil
	Routes   []*routev3.Route        // tried before the backend
	Workers  int                     // 2
	Envoy    string                  // path of the program; the pinned one

	Upstreams map[string]netip.AddrPort // more clusters, by name
}

// Chain is for readability: the order of its arguments is the order of the chain.
func Chain(filters ...sandbox.Filter) []sandbox.Filter { return filters }

// Start returns when the proxy serves.
func Start(t *testing.T, s Setup) *Proxy {
	t.Helper()
	return StartTogether(t, s)[0]
}

// StartTogether returns when all the proxies serve, which start at the same time.
func StartTogether(t *testing.T, setups ...Setup) []*Proxy {
	t.Helper()
	proxies := make([]*Proxy, len(setups))
	errs := make([]error, len(setups))
	var started sync.WaitGroup
	for i, s := range setups {
		p := &Proxy{T: t}
		proxies[i] = p
		config := s.config(t)
		config.Log = p.remember
		started.Go(func() { p.Proxy, errs[i] = sandbox.Start(t.Context(), config) })
		t.Cleanup(func() {
			if p.Proxy != nil {
				p.Stop()
			}
			if t.Failed() {
				t.Logf("Envoy's log:\n%s", p.Logged())
			}
		})
	}
	started.Wait()
	require.NoError(t, errors.Join(errs...))
	return proxies
}

// config starts the services.
func (s Setup) config(t *testing.T) sandbox.Config {
	t.Helper()
	if s.Backend == nil {
		s.Backend = sandbox.Echo
	}
	if s.Envoy == "" {
		var err error
		s.Envoy, err = envoy.FindEnvoy()
		require.NoError(t, err)
	}
	upstreams := map[string]netip.AddrPort{}
	for service, handler := range s.Services {
		if handler == nil {
			upstreams[Cluster(t, service)] = Nobody(t)
		} else {
			upstreams[Cluster(t, service)] = Serve(t, handler)
		}
	}
	maps.Copy(upstreams, s.Upstreams)
	return sandbox.Config{
		Envoy:     s.Envoy,
		Backend:   Serve(t, s.Backend),
		Filters:   s.Filters,
		Upstreams: upstreams,
		Routes:    s.Routes,
		Workers:   s.Workers,
		LogLevel:  "info",
	}
}

// Cluster is the name that Istio gives the cluster of a service, such as token.internal:80.
func Cluster(t *testing.T, service string) string {
	t.Helper()
	host, port, err := net.SplitHostPort(service)
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err, "the port of %q", service)
	return envoy.OutboundCluster(host, n)
}

// Serve serves h until the test ends.
func Serve(t *testing.T, h http.Handler) netip.AddrPort {
	t.Helper()
	address, stop, err := sandbox.Serve(h)
	require.NoError(t, err)
	t.Cleanup(stop)
	return address
}

// Nobody is an address that refuses connections.
func Nobody(t *testing.T) netip.AddrPort {
	t.Helper()
	address, stop, err := sandbox.Serve(http.NotFoundHandler())
	require.NoError(t, err)
	stop()
	return address
}

// Closing is an address that takes connections and closes them.
func Closing(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// Plugin is a WasmPlugin of that name, with a configuration in YAML and FAIL_RELOAD.
func Plugin(t *testing.T, name, config string) *plugin.Plugin {
	t.Helper()
	plugins, err := plugin.Plugins(map[string][]byte{name + ".yaml": fmt.Appendf(nil, `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: %s, namespace: test}
spec: {url: "filter://%[1]s", pluginName: %[1]s, failStrategy: FAIL_RELOAD, pluginConfig: %[2]s}`, name, config)})
	require.NoError(t, err)
	return plugins[0]
}
