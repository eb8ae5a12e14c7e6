package istio

import (
	"context"

	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/cluster"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/process"
)

const (
	ns      = "web-dev"
	changed = 30 * time.Second // for a change to reach a client; it takes half a second
)

// full is the whole chain: a gateway and the sidecar of app: web in the environment dev, on a real API and a real istiod. A client
// asks the gateway, where jwtfetch runs; that asks the workload over mTLS, where addheader runs.
type full struct {
	*testing.T
	registry         *gate
	api              *cluster.API
	istiod           *cluster.Istiod
	gateway, sidecar *cluster.Proxy
	url              string
	tree             tree
	pins             manifests.Pins
	token            string            // port of the token service
	environments     *sync.Map         // x-environment of each request to it, which a configuration of jwtfetch sends
	applied          string            // the object of addheader in the cluster
	builds           map[string]uint64 // of the modules that were pushed, by the digest of the image
}

func startFull(t *testing.T) *full {
	t.Helper()
	f := &full{T: t, registry: newGate(t, ""), tree: newTree(t)}
	f.tree.set("dev", plugin.WasmPlugin.Kind)
	f.pins, f.builds = pushAll(t, f.registry.host), map[string]uint64{}
	for filter, module := range modules(t) {
		f.builds[f.pins[filter].Digest] = build(t, module)
	}
	f.tree.pin("dev", f.pins)
	f.api = cluster.StartAPI(t, cluster.APIOptions{Users: []string{"nobody"}})
	f.istiod = cluster.StartIstiod(t, f.api, cluster.IstiodOptions{})
	inbound, outbound, port := process.Port(t), process.Port(t), process.Port(t)
	const gatewayAddress, sidecarAddress = "127.0.0.2", "127.0.0.3"
	f.api.Pod(t, ns, "web", sidecarAddress, map[string]string{"app": "web", "serves": "web", "security.istio.io/tlsMode": "istio"})
	f.api.Pod(t, ns, "gateway", gatewayAddress, map[string]string{"app": "web", "istio": "gateway"}, "proxy", cluster.Gateway)
	f.api.Apply(t, workload(t, ns, sidecarAddress, inbound, outbound)+fmt.Sprintf(`
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: web, namespace: %[1]s}
spec:
  hosts: [web.internal]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: %[2]d}]
  workloadSelector: {labels: {serves: web}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway, namespace: %[1]s}
spec:
  selector: {istio: gateway}
  servers:
  - {port: {number: %[3]d, name: http, protocol: HTTP}, hosts: ["*"], bind: %[4]s}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: routes, namespace: %[1]s}
spec:
  hosts: ["*"]
  gateways: [gateway]
  http:
  - route: [{destination: {host: web.internal, port: {number: 80}}}]
`, ns, inbound, port, gatewayAddress))
	f.environments = &sync.Map{}
	tokens := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sandbox.Tokens(w, r)
		f.environments.Store(r.Header.Get("x-environment"), true)
	}))
	f.token = fmt.Sprint(tokens.Port())
	f.sync()
	f.sidecar = cluster.StartProxy(t, f.istiod, cluster.ProxyOptions{Kind: cluster.Sidecar, Namespace: ns, Name: "web", Address: sidecarAddress})
	f.gateway = cluster.StartProxy(t, f.istiod, cluster.ProxyOptions{
		Kind: cluster.Gateway, Namespace: ns, Name: "gateway", Address: gatewayAddress, Labels: map[string]string{"app": "web", "istio": "gateway"},
	})
	f.url = f.gateway.URL(port)
	f.sees(answer{200, "world"})
	return f
}

// sync renders dev and applies it, as Argo CD would.
func (f *full) sync() {
	f.Helper()
	manifests := read(f.T, f.tree.render("dev"))
	const dns = "  resolution: DNS\n"
	require.Equal(f, 1, strings.Count(manifests, dns))
	f.api.Apply(f, strings.Replace(manifests, dns, dns+"  endpoints: [{address: 127.0.0.1, ports: {http: "+f.token+"}}]\n", 1))
	f.applied = f.addheader(nil)
}

// apply puts another object of addheader into the cluster.
func (f *full) apply(object string) {
	f.Helper()
	f.applied = object
	f.api.Apply(f, object)
}

// answer is what a client tells apart.
type answer struct {
	status int
	hello  string // the header that addheader sets
}

func (a answer) String() string { return fmt.Sprintf("%d hello=%q", a.status, a.hello) }

func (f *full) ask(ctx context.Context) (answer, error) {
	return f.askOn(ctx, client)
}

func (f *full) askOn(ctx context.Context, c *http.Client) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{resp.StatusCode, resp.Header.Get("hello")}
	if a.status == http.StatusOK {
		var upstream sandbox.Request
		if err := json.Unmarshal(body, &upstream); err != nil {
			return a, err
		}
		if !strings.HasPrefix(upstream.Headers["authorization"], "Bearer ey") {
			return a, fmt.Errorf("no token reached the workload: %v", upstream.Headers)
		}
	}
	return a, nil
}

// sees waits until a client gets the answer.
func (f *full) sees(want answer) {
	f.Helper()
	started := time.Now()
	process.Until(f, changed, want.String(), func(ctx context.Context) error {
		got, err := f.ask(ctx)
		if err == nil && got != want {
			err = fmt.Errorf("got %s", got)
		}
		return err
	})
	f.Logf("%s after %s", want, time.Since(started).Round(time.Millisecond))
}

// load asks 100 times a second, in turn on a kept and on a new connection, until the returned function is called; that gives the
// number of each answer.
func (f *full) load() (stop func() map[string]int) {
	ctx, cancel := context.WithCancel(f.Context())
	kept := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	answers := map[string]int{}
	var mu sync.Mutex
	var requests sync.WaitGroup
	requests.Go(func() {
		for i, tick := 0, time.NewTicker(10*time.Millisecond); ; i++ {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
			}
			c := kept
			if i%2 == 0 {
				c = client
			}
			requests.Go(func() {
				got, err := f.askOn(f.Context(), c)
				key := got.String()
				if err != nil {
					key = err.Error()
				}
				mu.Lock()
				defer mu.Unlock()
				answers[key]++
			})
		}
	})
	return func() map[string]int {
		cancel()
		requests.Wait()
		kept.CloseIdleConnections()
		return answers
	}
}

// good makes a change under load and wants no answer but that of before and that of after.
func (f *full) good(before, after answer, change, done func()) {
	f.Helper()
	answers := f.underLoad(change, done)
	for a := range answers {
		require.Contains(f, []string{before.String(), after.String()}, a)
	}
	require.Positive(f, answers[before.String()])
	require.Positive(f, answers[after.String()])
}

func (f *full) underLoad(change, done func()) map[string]int {
	f.Helper()
	stop := f.load()
	time.Sleep(300 * time.Millisecond)
	change()
	done()
	time.Sleep(500 * time.Millisecond)
	answers := stop()
	f.Logf("clients saw %v", answers)
	return answers
}

// stays wants one answer for a while: nothing heals by itself.
func (f *full) stays(want answer) {
	f.Helper()
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		got, err := f.ask(f.Context())
		require.NoError(f, err)
		require.Equal(f, want, got)
	}
}

// gate is a registry that can be closed and may want a password.
type gate struct {
	host     string
	password string
	closed   atomic.Bool
}

const puller = "puller"

func newGate(t *testing.T, password string) *gate {
	t.Helper()
	g := &gate{password: password}
	g.host = serve(t, func(real http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			u, p, _ := r.BasicAuth()
			switch {
			case g.closed.Load():
				panic(http.ErrAbortHandler) // the connection breaks
			case g.password != "" && (u != puller || p != g.password):
				w.Header().Set("WWW-Authenticate", "Basic") // without a realm: Istio refuses one that is no public URL
				w.WriteHeader(http.StatusUnauthorized)
			default:
				real.ServeHTTP(w, r)
			}
		})
	})
	return g
}
