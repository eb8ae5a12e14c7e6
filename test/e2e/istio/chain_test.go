package istio

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/anypb"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/pkg/model"
	v3 "istio.io/istio/pilot/pkg/xds/v3"
	"istio.io/istio/pilot/test/xds"
	istiolog "istio.io/istio/pkg/log"
	istiotest "istio.io/istio/pkg/test"
	"istio.io/istio/pkg/wasm"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/cluster"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/process"
)

// The workload that the rendered manifests select: app: web in the namespace of the environment.
func webNamespace(env string) string { return "web-" + env }

// Every filter of every environment in each of the three APIs, from the rendered manifests to a response: Istio's own istiod, in
// this process, Istio's own fetcher, a real Envoy. What istiod sends is what we say it sends, and the filters do what they are for.
func TestChain(t *testing.T) {
	host := serve(t, nil)
	pins := pushAll(t, host)
	tr := newTree(t)
	for _, env := range tr.environments() {
		for _, api := range plugin.Kinds() {
			t.Run(env.Name+"/"+api, func(t *testing.T) {
				tr := newTree(t)
				tr.set(env.Name, api)
				tr.pin(env.Name, pins)
				dir := tr.render(env.Name)
				c := startChain(t, env.Name, read(t, dir))
				c.serves(t, dir)
				c.sentIsProjected(t, dir, pins)
			})
		}
	}
}

// The control: without the image, the agent's fallback comes through in each API and refuses the requests. A listener that did not
// expect its type would wait for ever.
func TestMissingImageIsDenied(t *testing.T) {
	pins := manifests.Pins{}
	host := serve(t, nil)
	for filter, ref := range pushAll(t, host) {
		ref.Digest = "sha256:" + strings.Repeat("0", 64)
		pins[filter] = ref
	}
	for _, api := range plugin.Kinds() {
		t.Run(api, func(t *testing.T) {
			tr := newTree(t)
			tr.set("dev", api)
			tr.pin("dev", pins)
			c := startChain(t, "dev", read(t, tr.render("dev")))
			for name, port := range map[string]int{"inbound": c.inbound, "outbound": c.outbound} {
				process.Until(t, 20*time.Second, name, func(ctx context.Context) error {
					got, err := get(ctx, port, "backend.internal")
					if err == nil && got.status != http.StatusForbidden {
						err = fmt.Errorf("status %d, want 403", got.status)
					}
					return err
				})
			}
		})
	}
}

// chain is an istiod in this process and an Envoy that is the sidecar of the workload.
type chain struct {
	inbound, outbound int // ports
	listeners         *recorder
	extensions        *recorder
}

// startChain returns when Envoy runs; it need not serve yet.
func startChain(t *testing.T, env, manifests string) *chain {
	t.Helper()
	// A stock Envoy lacks these filters. The variables are read when the package is initialised.
	istiotest.SetForTest(t, &features.MetadataExchange, false)
	istiotest.SetForTest(t, &features.ALPNFilter, false)
	c := &chain{inbound: process.Port(t), outbound: process.Port(t)}
	s := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
		ConfigString:    patchTokenService(t, manifests, listen(t, sandbox.Tokens)) + workload(t, webNamespace(env), "127.0.0.1", c.inbound, c.outbound) + plaintext,
		ListenerBuilder: func() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") },
	})
	cache := wasm.NewLocalFileCache(t.TempDir(), wasm.Options{HTTPRequestMaxRetries: 5})
	t.Cleanup(cache.Cleanup)
	generators := s.Discovery.Generators
	c.listeners = &recorder{XdsResourceGenerator: generators[v3.ListenerType]}
	// What the agent does between istiod and Envoy.
	c.extensions = &recorder{XdsResourceGenerator: generators[v3.ExtensionConfigurationType], convert: func(resources []*anypb.Any) error {
		return wasm.MaybeConvertWasmExtensionConfig(resources, cache)
	}}
	generators[v3.ListenerType], generators[v3.ExtensionConfigurationType] = c.listeners, c.extensions

	program, err := envoy.FindEnvoy()
	require.NoError(t, err)
	bootstrap, err := envoy.Marshal(cluster.Bootstrap(t, cluster.ProxyOptions{
		Kind: cluster.Sidecar, Namespace: webNamespace(env), Name: "web", Address: "127.0.0.2", Labels: map[string]string{"app": "web"},
	}, process.Port(t), cluster.Socket(s.Listener.Addr().(*net.TCPAddr).Port), nil))
	require.NoError(t, err)
	dir := t.TempDir()
	file := filepath.Join(dir, "bootstrap.json")
	require.NoError(t, os.WriteFile(file, bootstrap, 0o600))
	process.Start(t, process.Program{
		Name: "Envoy", Path: program, Dir: dir,
		Args: []string{"-c", file, "--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"},
	})
	return c
}

// workload is the sidecar of app: web, and a service that it calls. There is no iptables here, so its listeners are written down:
// for the requests that it gets, and for those that it makes.
func workload(t *testing.T, namespace, address string, inbound, outbound int) string {
	t.Helper()
	backend := listen(t, sandbox.Echo)
	return fmt.Sprintf(`
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web, namespace: %[1]s}
spec:
  workloadSelector: {labels: {app: web}}
  ingress:
  - {port: {number: %[3]d, protocol: HTTP, name: http}, bind: %[2]s, captureMode: NONE, defaultEndpoint: "%[5]s"}
  egress:
  - {port: {number: %[4]d, protocol: HTTP, name: http}, bind: %[2]s, captureMode: NONE, hosts: ["./backend.internal"]}
  - {hosts: ["./token.internal"]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: backend, namespace: %[1]s}
spec:
  hosts: [backend.internal]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: %[4]d, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: %[6]d}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: web}}
  rules: [{}]
`, namespace, address, inbound, outbound, backend, backend.Port())
}

// plaintext: here is nobody to give certificates.
const plaintext = `
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: DISABLE}}
`

// patchTokenService gives the token service of the manifests an address. In a cluster, DNS does.
func patchTokenService(t *testing.T, manifests string, address netip.AddrPort) string {
	t.Helper()
	const dns = "  resolution: DNS\n"
	require.Equal(t, 1, strings.Count(manifests, dns), "one ServiceEntry by DNS")
	return strings.Replace(manifests, dns, dns+fmt.Sprintf("  endpoints: [{address: 127.0.0.1, ports: {http: %d}}]\n", address.Port()), 1)
}

// listen serves h until the test ends.
func listen(t *testing.T, h http.Handler) netip.AddrPort {
	t.Helper()
	address, stop, err := sandbox.Serve(h)
	require.NoError(t, err)
	t.Cleanup(stop)
	return address
}

// serves wants both filters at work: addheader on what the workload answers, jwtfetch on what it calls.
func (c *chain) serves(t *testing.T, dir string) {
	t.Helper()
	filters := byName(t, dir)
	config := filters["addheader"].Spec.PluginConfig.AsMap()
	process.Until(t, 20*time.Second, "addheader", func(ctx context.Context) error {
		got, err := get(ctx, c.inbound, "")
		if header := got.header.Get(config["name"].(string)); err == nil && (got.status != http.StatusOK || header != config["value"]) {
			err = fmt.Errorf("status %d, header %q, want %q", got.status, header, config["value"])
		}
		return err
	})
	process.Until(t, 20*time.Second, "jwtfetch", func(ctx context.Context) error {
		got, err := get(ctx, c.outbound, "backend.internal")
		if err != nil {
			return err
		}
		if got.status != http.StatusOK {
			return fmt.Errorf("status %d", got.status)
		}
		var upstream sandbox.Request
		require.NoError(t, json.Unmarshal(got.body, &upstream))
		if !strings.HasPrefix(upstream.Headers["authorization"], "Bearer ey") {
			return fmt.Errorf("the upstream got %v", upstream.Headers)
		}
		return nil
	})
}

// sentIsProjected wants in the listeners, and as their discovered filters, what envoyconfig makes of the manifests: nothing more,
// nothing less, in this order.
func (c *chain) sentIsProjected(t *testing.T, dir string, pins manifests.Pins) {
	t.Helper()
	plugins, err := plugin.Load(dir)
	require.NoError(t, err)
	extensions := c.extensions.wasm(t)
	require.Len(t, extensions, len(plugins))
	byPlugin := map[string]*wasmfilterv3.Wasm{}
	for _, w := range extensions {
		byPlugin[pluginID(w)] = w
	}
	for _, p := range plugins {
		got := byPlugin[p.ID()]
		require.NotNil(t, got, p.ID())
		file := got.GetConfig().GetVmConfig().GetCode().GetLocal().GetFilename()
		module, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, modules(t)[p.Name], module, p.Name)
		require.Equal(t, strings.TrimPrefix(pins[p.Name].Digest, "sha256:")+".wasm", filepath.Base(file))
		want, err := p.HTTPFilter(envoy.LocalFile(file))
		require.NoError(t, err)
		sameFilter(t, want, got)
	}
	chains := c.listeners.chains(t)
	name := func(filter string) string {
		for resource, w := range extensions {
			if strings.HasSuffix(pluginID(w), "."+filter) {
				return resource
			}
		}
		return ""
	}
	in, out := chains[c.inbound], chains[c.outbound]
	require.Contains(t, in, name("addheader"))
	require.NotContains(t, in, name("jwtfetch"))
	require.Contains(t, out, name("jwtfetch"))
	require.NotContains(t, out, name("addheader"))
	inOrder(t, in, "envoy.filters.http.rbac", name("addheader"), "envoy.filters.http.router") // STATS
	inOrder(t, out, name("jwtfetch"), "envoy.filters.http.router")                            // AUTHN
	require.Equal(t, name("jwtfetch"), out[0], out)
}

func inOrder(t *testing.T, chain []string, names ...string) {
	t.Helper()
	last := -1
	for _, n := range names {
		at := slices.Index(chain, n)
		require.Greater(t, at, last, "%s in %v", n, chain)
		last = at
	}
}

func byName(t *testing.T, dir string) map[string]*plugin.Plugin {
	t.Helper()
	plugins, err := plugin.Load(dir)
	require.NoError(t, err)
	all := map[string]*plugin.Plugin{}
	for _, p := range plugins {
		all[p.Name] = p
	}
	return all
}

// recorder keeps what the generator last made of each resource: a proxy asks for extensions one by one.
type recorder struct {
	model.XdsResourceGenerator
	convert func([]*anypb.Any) error

	mu   sync.Mutex
	last map[string]*anypb.Any
}

func (r *recorder) Generate(p *model.Proxy, w *model.WatchedResource, req *model.PushRequest) (model.Resources, model.XdsLogDetails, error) {
	resources, details, err := r.XdsResourceGenerator.Generate(p, w, req)
	converted := make([]*anypb.Any, len(resources))
	for i := range resources {
		converted[i] = resources[i].Resource
	}
	if err == nil && r.convert != nil && len(converted) > 0 {
		err = r.convert(converted)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = map[string]*anypb.Any{}
	}
	for i := range resources {
		resources[i].Resource = converted[i]
		r.last[resources[i].Name] = converted[i]
	}
	return resources, details, err
}

func (r *recorder) sent() []*anypb.Any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.last))
}

// wasm are the discovered filters by resource.
func (r *recorder) wasm(t *testing.T) map[string]*wasmfilterv3.Wasm {
	t.Helper()
	var extensions []*corev3.TypedExtensionConfig
	for _, resource := range r.sent() {
		extension := &corev3.TypedExtensionConfig{}
		require.NoError(t, resource.UnmarshalTo(extension))
		extensions = append(extensions, extension)
	}
	return wasmFilters(t, extensions)
}

// wasmFilters are the extensions by name; each is a Wasm filter, and not the RBAC that the agent puts in place of one whose image
// it cannot fetch.
func wasmFilters(t *testing.T, extensions []*corev3.TypedExtensionConfig) map[string]*wasmfilterv3.Wasm {
	t.Helper()
	all := map[string]*wasmfilterv3.Wasm{}
	for _, e := range extensions {
		w := &wasmfilterv3.Wasm{}
		require.NoError(t, e.TypedConfig.UnmarshalTo(w), "%s is no Wasm filter", e.Name)
		all[e.Name] = w
	}
	return all
}

// chains are the names of HTTP filters by port of the listener.
func (r *recorder) chains(t *testing.T) map[int][]string {
	t.Helper()
	var listeners []*listenerv3.Listener
	for _, resource := range r.sent() {
		l := &listenerv3.Listener{}
		require.NoError(t, resource.UnmarshalTo(l))
		listeners = append(listeners, l)
	}
	return httpChains(listeners)
}

func httpChains(listeners []*listenerv3.Listener) map[int][]string {
	all := map[int][]string{}
	for _, l := range listeners {
		for _, chain := range append(slices.Clone(l.FilterChains), l.DefaultFilterChain) {
			for _, f := range chain.GetFilters() {
				var manager hcmv3.HttpConnectionManager
				if f.GetTypedConfig().UnmarshalTo(&manager) != nil {
					continue
				}
				var names []string
				for _, h := range manager.HttpFilters {
					names = append(names, h.Name)
				}
				all[int(l.GetAddress().GetSocketAddress().GetPortValue())] = names
			}
		}
	}
	return all
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

// get asks 127.0.0.1:port on a connection of its own.
func get(ctx context.Context, port int, host string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", port), nil)
	if err != nil {
		return reply{}, err
	}
	req.Host = host
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, body}, err
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// Istio's libraries talk of what concerns nobody here; the fetcher's errors do.
func init() {
	for name, scope := range istiolog.Scopes() {
		if name != "wasm" {
			scope.SetOutputLevel(istiolog.NoneLevel)
		}
	}
}
