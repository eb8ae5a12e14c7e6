//go:build envoy

// Package examples runs the examples of every filter in a real Envoy: filters/<filter>/examples/*.yaml. Nothing here knows a filter.
package examples

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/example"
)

const root = "../.."

func TestExamples(t *testing.T) {
	envoy, err := envoy.FindEnvoy()
	require.NoError(t, err)
	filters, err := catalog.Load(filepath.Join(root, "filters"))
	require.NoError(t, err)
	for _, f := range filters {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			module := envoytest.Module(t, f.Name)
			all, err := example.Load(f.Dir)
			require.NoError(t, err)
			require.NotEmpty(t, all, "filters/%s has no examples/*.yaml: nothing shows what it does. docs/examples.md says how to write one", f.Name)
			for _, e := range all {
				t.Run(strings.TrimSuffix(filepath.Base(e.File), ".yaml"), func(t *testing.T) {
					t.Parallel()
					_, err := e.Run(t.Context(), example.Options{Envoy: envoy, Filter: f.Name, Module: module, Log: logTo(t)})
					require.NoError(t, err)
				})
			}
		})
	}
}

// logTo shows Envoy's log when the test fails.
func logTo(t *testing.T) func(envoy.LogEntry) {
	return func(e envoy.LogEntry) { t.Logf("%s %s %s: %s", e.Level, e.Logger, e.Plugin, e.Message) }
}
