package standin

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

func TestCallouts(t *testing.T) {
	for _, tc := range []struct {
		name, config string
		want         map[string]string
		err          string
	}{
		{name: "host and port", config: `{upstream: {host: token.internal, port: 80}}`, want: map[string]string{"outbound|80||token.internal": "token"}},
		{name: "cluster", config: `{upstream: {host: token.internal, port: 80, cluster: tokens}}`, want: map[string]string{"tokens": "token"}},
		{name: "not configured", config: `{}`, want: map[string]string{}},
		{name: "no object", config: `{upstream: token.internal}`, err: `x.yaml: WasmPlugin "demo": pluginConfig /upstream: want host and port of the upstream, or its cluster`},
		{name: "no port", config: `{upstream: {host: token.internal}}`, err: "want host and port"},
		{name: "no whole port", config: `{upstream: {host: token.internal, port: 8.5}}`, err: "want host and port"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			writeFilter(t, dir, "callouts: [{upstream: /upstream, purpose: token}]")
			got, err := Callouts(dir, "demo", demo(t, tc.config))
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func TestCalloutsOfUnknownFilter(t *testing.T) {
	got, err := Callouts(t.TempDir(), "demo", demo(t, "{}"))
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestStandInForEachPurpose(t *testing.T) {
	for _, purpose := range catalog.Purposes {
		require.Contains(t, handlers, purpose)
	}
}

// writeFilter writes filters/demo/plugin.yaml below dir.
func writeFilter(t *testing.T, dir, more string) {
	t.Helper()
	file := filepath.Join(dir, "demo", catalog.File)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte("name: demo\ntitle: Demo\ndescription: A demo.\nphases: [AUTHN]\n"+more+"\n"), 0o644))
}

func demo(t *testing.T, config string) *plugin.Plugin {
	t.Helper()
	plugins, err := plugin.Plugins(map[string][]byte{"x.yaml": []byte(`
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: demo, namespace: ns}
spec: {url: "filter://demo", pluginConfig: ` + config + `}`)})
	require.NoError(t, err)
	return plugins[0]
}
