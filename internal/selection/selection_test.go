package selection

import (
	"testing"

	"github.com/stretchr/testify/require"
	extensions "istio.io/api/extensions/v1alpha1"
	typev1beta1 "istio.io/api/type/v1beta1"
)

// MayRun is Runs over every listener that a proxy of the kind can have.
func TestMayRun(t *testing.T) {
	t.Parallel()
	modes := func(modes ...typev1beta1.WorkloadMode) (match []*extensions.WasmPlugin_TrafficSelector) {
		for _, m := range modes {
			match = append(match, &extensions.WasmPlugin_TrafficSelector{Mode: m})
		}
		return match
	}
	const server, client = typev1beta1.WorkloadMode_SERVER, typev1beta1.WorkloadMode_CLIENT
	sidecar, gateway := Proxy{Namespace: "web"}, Proxy{Namespace: "web", Router: true}
	for _, c := range []struct {
		name  string
		match []*extensions.WasmPlugin_TrafficSelector
		proxy Proxy
		want  bool
	}{
		{"any", nil, gateway, true},
		{"server on a sidecar", modes(server), sidecar, true},
		{"client on a sidecar", modes(client), sidecar, true},
		{"server on a gateway", modes(server), gateway, false},
		{"client on a gateway", modes(client), gateway, true},
		{"either on a gateway", modes(server, client), gateway, true},
		{"elsewhere", nil, Proxy{Namespace: "other"}, false},
	} {
		p := Plugin{Namespace: "web", Match: c.match}
		require.Equal(t, c.want, p.MayRun(c.proxy, "istio-system"), c.name)
	}
}
