package cluster

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/process"
)

// The cluster as such: a gateway and a sidecar answer, over what the API was given.
func TestCluster(t *testing.T) {
	api := StartAPI(t, APIOptions{Users: []string{"developer"}})
	istiod := StartIstiod(t, api, IstiodOptions{})
	api.Namespaces(t, "ingress", "apps")
	gateway, sidecar, port := "127.0.0.2", "127.0.0.3", process.Port(t)
	api.Pod(t, "apps", "app", sidecar, map[string]string{"app": "app"})
	api.Apply(t, fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway, namespace: ingress}
spec:
  selector: {istio: gateway}
  servers:
  - {port: {number: %[1]d, name: http, protocol: HTTP}, hosts: ["*"], bind: %[2]s}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: routes, namespace: ingress}
spec: {hosts: ["*"], gateways: [gateway], http: [{directResponse: {status: 200, body: {string: gateway}}}]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: app, namespace: apps}
spec:
  workloadSelector: {labels: {app: app}}
  ingress:
  - {port: {number: %[1]d, protocol: HTTP, name: http}, bind: %[3]s, captureMode: NONE, defaultEndpoint: "127.0.0.1:%[1]d"}
  egress:
  - hosts: ["~/*"]
`, port, gateway, sidecar))
	for _, o := range []ProxyOptions{
		{Kind: Gateway, Namespace: "ingress", Name: "gateway", Address: gateway, Labels: map[string]string{"istio": "gateway"}},
		{Kind: Sidecar, Namespace: "apps", Name: "app", Address: sidecar},
	} {
		p := StartProxy(t, istiod, o)
		want := map[string]int{Gateway: http.StatusOK, Sidecar: http.StatusServiceUnavailable}[o.Kind] // no application behind it
		process.Until(t, timeout, p.ID, func(ctx context.Context) error {
			resp, err := client.Get(p.URL(port))
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				return fmt.Errorf("%s, want %d", resp.Status, want)
			}
			return nil
		})
		require.NotEmpty(t, p.Process.Memory())
	}
}
