//go:build envoy

package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/filters/jwtfetch/internal/simulator"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// All token services of testdata/endpoints at once: one proxy with an object of this filter for each, which has its own upstream, its
// own token and its own metrics. The secrets come from the environment of the proxy, and are nowhere else.
func TestEndpoints(t *testing.T) {
	for name, value := range simulator.Environment {
		t.Setenv(name, value)
	}
	endpoints, err := simulator.Endpoints("testdata", time.Now())
	require.NoError(t, err)

	services := map[string][]simulator.Endpoint{}
	paths := map[string]string{}
	var filters []sandbox.Filter
	for _, e := range endpoints {
		var config struct {
			Upstream struct {
				Host string
				Port int
			}
		}
		require.NoError(t, json.Unmarshal(e.Config, &config))
		service := fmt.Sprintf("%s:%d", config.Upstream.Host, config.Upstream.Port)
		services[service] = append(services[service], e)
		paths["/"+e.Name+"/"] = "outbound|443||" + e.Name + ".example.com"
		filters = append(filters, withEnvironment(t, "jwtfetch-"+e.Name, string(e.Config)))
	}
	handlers := map[string]http.Handler{}
	for service, endpoints := range services {
		handlers[service] = one(endpoints)
	}
	routes, addresses := upstreams(t, paths, sandbox.Echo)
	p := start(t, envoytest.Setup{Filters: filters, Services: handlers, Routes: routes, Upstreams: addresses})

	for _, e := range endpoints {
		t.Run(e.Name, func(t *testing.T) {
			got := p.Get("/" + e.Name + "/").Upstream(t).Headers
			values := 0
			for _, other := range endpoints {
				for _, value := range got {
					if strings.Contains(value, other.Token) && other.Token != e.Token {
						t.Errorf("the token of %s", other.Name)
					}
				}
			}
			for _, value := range got {
				if value == e.Token || value == "Bearer "+e.Token {
					values++
				}
			}
			require.Equal(t, 1, values, got)
			prefix := `wasmcustom\.wasm_filter\.test/jwtfetch-` + e.Name + `\.jwtfetch\.`
			require.Equal(t, 1, p.Stat(prefix+`fetches\.total`))
			require.InDelta(t, time.Now().Add(e.Lifetime).Unix(), p.Stat(prefix+`token\.expiry\.timestamp\.seconds`), 30)
			require.InDelta(t, time.Now().Unix(), p.Stat(prefix+`last\.success\.timestamp\.seconds`), 30)
			require.Contains(t, p.Logged(), "jwtfetch: test/jwtfetch-"+e.Name+": outbound|")
		})
	}
	p.NeverTrapped()

	// Istio's bootstrap makes the object a label.
	metrics := adminPage(p, "/stats/prometheus")
	for _, e := range endpoints {
		require.Contains(t, metrics, `jwtfetch_fetches_total{wasm_filter="test/jwtfetch-`+e.Name+`"} 1`)
		require.Regexp(t, `jwtfetch_token_expiry_timestamp_seconds\{wasm_filter="test/jwtfetch-`+e.Name+`"\} \d{10}\n`, metrics)
	}

	for _, page := range []string{"/config_dump", "/stats", "/clusters", "/server_info"} {
		requireNoSecrets(t, page, adminPage(p, page))
	}
	requireNoSecrets(t, "the log", p.Logged())
}

// A variable that is not there denies the requests in scope, and says which.
func TestMissingVariable(t *testing.T) {
	t.Parallel()
	routes, addresses := upstreams(t, map[string]string{"/scoped": "outbound|443||api.example.com"}, sandbox.Echo)
	p := start(t, envoytest.Setup{
		Filters: envoytest.Chain(withEnvironment(t, "jwtfetch", `{hosts: [api.example.com], upstream: {host: token.internal, port: 80},
			clientAuth: {method: basic, id: a, secretEnv: NO_SUCH_SECRET}, request: {path: /auth}, token: {json: /access_token}, lifetime: {json: /expires_in}}`)),
		Routes: routes, Upstreams: addresses,
	})
	require.Eventually(t, func() bool { return p.Stat(`wasmcustom\..*\.failures\.nosecret\.total`) > 0 }, envoytest.Timeout, envoytest.Interval)
	require.NoError(t, denied2(p.Get("/scoped")))
	require.Equal(t, http.StatusOK, p.Get("/").Status)
	require.Equal(t, 1, p.Stat(`wasmcustom\.wasm_filter\.test/jwtfetch\.jwtfetch\.missing\.NO_SUCH_SECRET`))
	require.Zero(t, p.Stat(`wasmcustom\..*\.fetches\.total`), "nobody was asked")
	p.Logs(`has no variable "NO_SUCH_SECRET"`)
	p.NeverTrapped()
}

// withEnvironment is the filter as an object of that name, with all variables of the simulator from the environment of the proxy.
func withEnvironment(t *testing.T, name, config string) sandbox.Filter {
	t.Helper()
	env := "["
	for variable := range simulator.Environment {
		env += fmt.Sprintf("{name: %s, valueFrom: HOST}, ", variable)
	}
	plugins, err := plugin.Plugins(map[string][]byte{name + ".yaml": fmt.Appendf(nil, `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: %s, namespace: test}
spec:
  url: filter://jwtfetch
  pluginName: jwtfetch
  failStrategy: FAIL_RELOAD
  vmConfig: {env: %s]}
  pluginConfig: %s`, name, env, strings.ReplaceAll(config, "\n", "\n  "))})
	require.NoError(t, err)
	return sandbox.Filter{Plugin: plugins[0], Module: envoytest.Module(t, "jwtfetch")}
}

// one is a service of several endpoints, which differ in their paths.
func one(endpoints []simulator.Endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, e := range endpoints {
			if e.Path() == r.URL.RequestURI() {
				e.ServeHTTP(w, r)
				return
			}
		}
		http.NotFound(w, r)
	})
}

// requireNoSecrets looks for each secret as it is, and as Basic and a form send it.
func requireNoSecrets(t *testing.T, where, text string) {
	t.Helper()
	require.NotEmpty(t, text, where)
	for name, value := range simulator.Environment {
		require.NotContains(t, text, value, "%s of %s", name, where)
	}
	for _, encoded := range []string{"s3cr%2Bt", "bXktYXBwOnM"} {
		require.NotContains(t, text, encoded, where)
	}
}
