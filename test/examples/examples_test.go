//go:build envoy

// Package examples runs the examples of every filter in a real Envoy: filters/<filter>/examples/*.yaml. Nothing here knows a filter.
package examples

import (
	"os"
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
	program, err := envoy.FindEnvoy()
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
					seen, err := e.Run(t.Context(), example.Options{Envoy: program, Filter: f.Name, Module: module, Log: logTo(t)})
					require.NoError(t, err)
					if whole := unpruned(t, f); whole != nil {
						same, err := e.Run(t.Context(), example.Options{Envoy: program, Filter: f.Name, Module: whole, Log: logTo(t)})
						require.NoError(t, err, "the module as TinyGo makes it does otherwise than the one that make build has trimmed")
						require.Equal(t, same, seen, "trimming has changed what the filter does. report it, with the filter's source")
					}
				})
			}
		})
	}
}

// unpruned is the module with all its exports, as TinyGo makes it; nil of a filter that is a module already. That both do the same is
// the second lock on the build, which drops exports that it has proven to do nothing.
func unpruned(t *testing.T, f catalog.Filter) []byte {
	if _, err := os.Stat(filepath.Join(f.Dir, "module.wasm")); err == nil {
		return nil
	}
	module, err := os.ReadFile(filepath.Join(root, "build", f.Name+".raw"))
	require.NoError(t, err, `run "make build"`)
	return module
}

// logTo shows Envoy's log when the test fails.
func logTo(t *testing.T) func(envoy.LogEntry) {
	return func(e envoy.LogEntry) { t.Logf("%s %s %s: %s", e.Level, e.Logger, e.Plugin, e.Message) }
}
