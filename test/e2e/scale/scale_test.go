package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	v3 "istio.io/istio/pilot/pkg/xds/v3"

	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// The tests' program is the istiod that they measure, too.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == istiodArg {
		main()
		return
	}
	quiet()
	os.Exit(m.Run())
}

// What docs/scale.md says of one change: which kinds are sent, and to whom.
func TestChange(t *testing.T) {
	for _, c := range []struct {
		api, form   string
		plugins     int
		cds, rds    int // proxies that are sent this kind
		lds, ecds   int
		marked, all int // proxies that get the plugin; proxies
	}{
		{plugin.WasmPlugin.Kind, everyone, 20, 0, 0, 20, 20, 20, 20},
		{plugin.WasmPlugin.Kind, selected, 1, 0, 0, 20, 10, 10, 20},    // the listeners of the whole namespace, the filter to who has it
		{plugin.WasmPlugin.Kind, selected, 20, 0, 0, 20, 20, 10, 20},   // filters to who has any
		{plugin.WasmPlugin.Kind, namespaces, 20, 0, 0, 10, 10, 10, 20}, // nothing to another namespace
		{plugin.TrafficExtension.Kind, selected, 20, 0, 0, 20, 20, 10, 20},
		{plugin.EnvoyFilter.Kind, selected, 20, 20, 20, 20, 20, 10, 20}, // every kind
		{plugin.EnvoyFilter.Kind, namespaces, 20, 10, 10, 10, 10, 10, 20},
	} {
		f := fleet{c.api, c.form, c.plugins, c.all}
		t.Run(f.String(), func(t *testing.T) {
			results, err := measureApart(t.Context(), f, time.Minute)
			require.NoError(t, err)
			require.Len(t, results, 3)
			for _, r := range results {
				require.True(t, r.Reached, "%s: not every proxy has acked", r.Step)
			}
			require.Equal(t, change, results[1].Step)
			require.Equal(t, c.marked, results[1].Marked)
			for kind, want := range map[string]int{v3.ClusterType: c.cds, v3.ListenerType: c.lds, v3.RouteType: c.rds, v3.ExtensionConfigurationType: c.ecds} {
				require.Len(t, results[1].Sent[kind].Proxies, want, kind)
			}
		})
	}
}

// An agent asks for an image once, however many plugins run it, and a cache before the registry takes all but the first.
func TestRollout(t *testing.T) {
	for _, c := range []struct {
		rollout
		registry int64
	}{
		{rollout{Proxies: 20, Plugins: 1}, 60},
		{rollout{Proxies: 20, Plugins: 3}, 60},
		{rollout{Proxies: 20, Plugins: 1, PullThrough: true}, 3},
	} {
		require.NoError(t, c.run(t.Context()))
		require.Equal(t, c.registry, c.Registry.Requests)
		require.Greater(t, c.Registry.Bytes, c.registry/3*moduleSize)
	}
}
