package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/envoyconfig"
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
			got, err := callouts(dir, "demo", plugin(t, tc.config))
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
	got, err := callouts(t.TempDir(), "demo", plugin(t, "{}"))
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestStandInForEachPurpose(t *testing.T) {
	for _, purpose := range catalog.Purposes {
		require.Contains(t, standIns, purpose)
	}
}

func TestLookup(t *testing.T) {
	var document any
	require.NoError(t, json.Unmarshal([]byte(`{"a":{"b/c":{"~d":[1,{"e":"found"}]}},"":"empty"}`), &document))
	for pointer, want := range map[string]any{
		"/a/b~1c/~0d/1/e": "found",
		"/a/b~1c/~0d/0":   1.0,
		"/":               "empty",
		"":                document,
		"/x":              nil,
		"/a/b~1c/~0d/2":   nil,
		"/a/b~1c/~0d/-":   nil,
		"/a/b~1c/~0d/0/x": nil,
	} {
		got, ok := lookup(document, pointer)
		require.Equal(t, want != nil, ok, pointer)
		if ok {
			require.Equal(t, want, got, pointer)
		}
	}
}

// writeFilter writes filters/demo/plugin.yaml below dir.
func writeFilter(t *testing.T, dir, more string) {
	t.Helper()
	file := filepath.Join(dir, "demo", catalog.File)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte("name: demo\ntitle: Demo\ndescription: A demo.\nphases: [AUTHN]\n"+more+"\n"), 0o644))
}

func plugin(t *testing.T, config string) *envoyconfig.Plugin {
	t.Helper()
	plugins, err := envoyconfig.Plugins(map[string][]byte{"x.yaml": []byte(`
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: demo, namespace: ns}
spec: {url: "filter://demo", pluginConfig: ` + config + `}`)})
	require.NoError(t, err)
	return plugins[0]
}
