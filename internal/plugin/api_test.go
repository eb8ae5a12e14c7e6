package plugin

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
)

const full = `apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: demo, namespace: web}
spec:
  failStrategy: FAIL_OPEN
  match: [{mode: SERVER}]
  phase: %s
  priority: %d
  pluginConfig: {a: 1, b: [true, null, "<x>"]}
  pluginName: root
  selector: {matchLabels: {app: web}}
  url: oci://ghcr.io/team/demo:v1@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
  vmConfig: {env: [{name: A, value: b}, {name: H, valueFrom: HOST}]}
`

func load(t *testing.T, object string) *Plugin {
	plugins, err := Plugins(map[string][]byte{"demo.yaml": []byte(object)})
	require.NoError(t, err)
	require.Len(t, plugins, 1)
	return plugins[0]
}

func written(t *testing.T, apiVersion, kind string, spec proto.Message) string {
	data, err := protojson.Marshal(spec)
	require.NoError(t, err)
	o, err := json.Marshal(map[string]any{
		"apiVersion": apiVersion, "kind": kind, "metadata": map[string]string{"name": "demo", "namespace": "web"}, "spec": json.RawMessage(data),
	})
	require.NoError(t, err)
	return string(o)
}

// What is written in another API is read back as the same plugin.
func TestOtherAPIsKeepThePlugin(t *testing.T) {
	for _, phase := range []string{"AUTHN", "STATS", "UNSPECIFIED_PHASE"} {
		for _, priority := range []int{0, 1, -1, maxEnvoyFilterPriority, -maxEnvoyFilterPriority} {
			p := load(t, fmt.Sprintf(full, phase, priority))
			te := load(t, written(t, "extensions.istio.io/v1alpha1", "TrafficExtension", trafficExtension(&p.Spec)))
			require.True(t, proto.Equal(&p.Spec, &te.Spec), &te.Spec)

			spec, err := p.envoyFilter(Facts{Capabilities: []string{"proxy_log"}, HoldsHeaders: true})
			require.NoError(t, err)
			ef := load(t, written(t, "networking.istio.io/v1alpha3", "EnvoyFilter", spec))
			filter, err := ef.HTTPFilter(nil)
			require.NoError(t, err)
			require.True(t, filter.Config.AllowOnHeadersStopIteration.GetValue())
			require.True(t, proto.Equal(&p.Spec, &ef.Spec), "%v\n%v", &p.Spec, &ef.Spec)

			code := envoy.LocalFile("/x.wasm")
			want, err := p.HTTPFilter(code)
			require.NoError(t, err)
			got, err := ef.HTTPFilter(code)
			require.NoError(t, err)
			require.Contains(t, got.Config.CapabilityRestrictionConfig.AllowedCapabilities, "proxy_log", "a local run is restricted, too") //nolint:staticcheck // see EnvoyFilter
			got.Config.CapabilityRestrictionConfig, got.Config.AllowOnHeadersStopIteration = nil, nil                                      //nolint:staticcheck // see EnvoyFilter
			got.Config.GetVmConfig().VmId, got.Config.AllowOnHeadersStopIteration = "", nil
			require.True(t, proto.Equal(want, got))
		}
	}
}

// Istiod applies EnvoyFilters in ascending order of priority; the chain that results is in the order of Compare.
func TestEnvoyFiltersKeepTheOrder(t *testing.T) {
	var plugins []*Plugin
	for _, phase := range []string{"STATS", "AUTHN", "UNSPECIFIED_PHASE"} {
		for _, priority := range []int{5, -5, 0, maxEnvoyFilterPriority, -maxEnvoyFilterPriority} {
			plugins = append(plugins, load(t, fmt.Sprintf(full, phase, priority)))
		}
	}
	slices.SortFunc(plugins, Compare)
	specs := map[int32]*Plugin{}
	var priorities []int32
	for _, p := range plugins {
		spec, err := p.envoyFilter(Facts{})
		require.NoError(t, err)
		require.NotContains(t, specs, spec.Priority)
		specs[spec.Priority] = p
		priorities = append(priorities, spec.Priority)
	}
	slices.Sort(priorities)
	chain := []*Plugin{nil} // nil is the router
	for _, priority := range priorities {
		spec, err := specs[priority].envoyFilter(Facts{})
		require.NoError(t, err)
		at := 0
		if spec.ConfigPatches[1].Patch.Operation == networking.EnvoyFilter_Patch_INSERT_BEFORE {
			at = slices.Index(chain, nil)
		}
		chain = slices.Insert(chain, at, specs[priority])
	}
	require.Equal(t, plugins, chain[:len(chain)-1])
}
