//go:build envoy

// Package preflight tests what asks a real Envoy whether a filter starts: internal/preflight and the verb preflight.
package preflight

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/preflight"
	"github.com/wasmfleet/wasmfleet/internal/scripttest"
	verb "github.com/wasmfleet/wasmfleet/tools/preflight"
	"github.com/wasmfleet/wasmfleet/tools/render"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { scripttest.Main(m, verb.Command(), render.Command()) }

func TestScripts(t *testing.T) {
	program, err := envoy.FindEnvoy()
	require.NoError(t, err)
	modules, err := filepath.Abs("testdata")
	require.NoError(t, err)
	scripttest.Run(t, testscript.Params{Setup: func(e *testscript.Env) error {
		e.Setenv("ENVOY", program)
		e.Setenv("MODULES", modules)
		return nil
	}})
}

func TestCheck(t *testing.T) {
	program, err := envoy.FindEnvoy()
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
			err := preflight.Check(t.Context(), program, fussy(t, tc.config), module)
			if tc.refused == "" {
				require.NoError(t, err)
			} else {
				var refused *envoy.Refused
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
	defer func(d time.Duration) { preflight.Timeout = d }(preflight.Timeout)
	preflight.Timeout = 500 * time.Millisecond
	program, err := envoy.FindEnvoy()
	require.NoError(t, err)
	module, err := os.ReadFile("testdata/fussy.wasm")
	require.NoError(t, err)
	err = preflight.Check(t.Context(), program, fussy(t, "{a: "+strings.Repeat("x", 600)+"}"), module)
	require.EqualError(t, err, "refused: no answer within 500ms: OnPluginStart does not return")
}

func TestCheckCannotAsk(t *testing.T) {
	var refused *envoy.Refused
	err := preflight.Check(t.Context(), "/no/envoy", fussy(t, "{}"), nil)
	require.ErrorContains(t, err, "running /no/envoy")
	require.NotErrorAs(t, err, &refused)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, preflight.Check(ctx, "/bin/sleep", fussy(t, "{}"), nil), context.Canceled)
}

func fussy(t *testing.T, config string) *plugin.Plugin {
	t.Helper()
	plugins, err := plugin.Plugins(map[string][]byte{"x.yaml": []byte(`
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: fussy, namespace: ns}
spec: {url: "oci://r/fussy", pluginName: fussy, pluginConfig: ` + config + `}`)})
	require.NoError(t, err)
	return plugins[0]
}
