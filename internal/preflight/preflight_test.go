package preflight

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoyconfig"
)

func TestCheck(t *testing.T) {
	envoy, err := FindEnvoy()
	require.NoError(t, err)
	for _, tc := range []struct{ name, module, config, refused string }{
		{"accepted", "fussy", "{}", ""},
		{"refused by the filter", "fussy", "{a: 1}", "fussy: parsing plugin configuration: want \"none\"\nét cetera"},
		{"trap", "fussy", "{a: " + strings.Repeat("x", 60) + "}", "Function: proxy_on_configure failed: Uncaught RuntimeError: unreachable"},
		{"missing import", "missingimport", "{}", "Failed to load Wasm module due to a missing import: env.strlen"},
		{"no module", "", "{}", "Failed to parse corrupted Wasm module"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tmp := t.TempDir()
			t.Setenv("TMPDIR", tmp)
			module := []byte("no module")
			if tc.module != "" {
				module, err = os.ReadFile(filepath.Join("testdata", tc.module+".wasm"))
				require.NoError(t, err)
			}
			err := Check(t.Context(), envoy, plugin(t, tc.config), module)
			if tc.refused == "" {
				require.NoError(t, err)
			} else {
				var refused *Refused
				require.ErrorAs(t, err, &refused)
				require.Equal(t, tc.refused, refused.Reason)
			}
			left, err := os.ReadDir(tmp)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestCheckEndlessLoop(t *testing.T) {
	defer func(d time.Duration) { timeout = d }(timeout)
	timeout = 500 * time.Millisecond
	envoy, err := FindEnvoy()
	require.NoError(t, err)
	module, err := os.ReadFile("testdata/fussy.wasm")
	require.NoError(t, err)
	err = Check(t.Context(), envoy, plugin(t, "{a: "+strings.Repeat("x", 600)+"}"), module)
	require.EqualError(t, err, "refused: no answer within 500ms: OnPluginStart does not return")
}

func TestCheckCannotAsk(t *testing.T) {
	var refused *Refused
	err := Check(t.Context(), "/no/envoy", plugin(t, "{}"), nil)
	require.ErrorContains(t, err, "running /no/envoy")
	require.NotErrorAs(t, err, &refused)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, Check(ctx, "/bin/sleep", plugin(t, "{}"), nil), context.Canceled)
}

func TestFindEnvoy(t *testing.T) {
	program := func(path string) string {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755))
		return path
	}
	root := t.TempDir()
	named, tools, onPath := program(root+"/named"), program(root+"/tree/.tools/bin/envoy"), program(root+"/path/envoy")
	require.NoError(t, os.MkdirAll(root+"/tree/a/b", 0o755))

	for _, tc := range []struct{ name, env, dir, path, want, err string }{
		{name: "ENVOY", env: named, dir: root + "/tree", path: root + "/path", want: named},
		{name: "ENVOY is wrong", env: root + "/missing", dir: root + "/tree", err: `envoy not found: ENVOY=` + root + `/missing is no program. run "make tools" or set ENVOY=/path`},
		{name: "tools above", dir: root + "/tree/a/b", path: root + "/path", want: tools},
		{name: "PATH", dir: root, path: root + "/path", want: onPath},
		{name: "nowhere", dir: root, err: `envoy not found. run "make tools" or set ENVOY=/path`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("ENVOY", tc.env)
			t.Setenv("PATH", tc.path)
			t.Chdir(tc.dir)
			got, err := FindEnvoy()
			if tc.err != "" {
				require.EqualError(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

func plugin(t *testing.T, config string) *envoyconfig.Plugin {
	t.Helper()
	plugins, err := envoyconfig.Plugins(map[string][]byte{"x.yaml": []byte(`
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: fussy, namespace: ns}
spec: {url: "oci://r/fussy", pluginName: fussy, pluginConfig: ` + config + `}`)})
	require.NoError(t, err)
	return plugins[0]
}
