//go:build envoy

// Package envoy tests in a real Envoy what holds for every filter: those of this repository by way of their examples, and fixtures
// in testdata. A filter's own tests of this kind stand beside it.
//
// short_test.go has the sizes for every "make test", soak_test.go those for "make soak".
package envoy

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/example"
)

const root = "../.."

const megabyte = 1 << 20

// shown is a filter of this repository with its examples.
type shown struct {
	catalog.Filter
	examples []*example.Example
}

func shownFilters(t *testing.T) (all []shown) {
	t.Helper()
	filters, err := catalog.Load(filepath.Join(root, "filters"))
	require.NoError(t, err)
	for _, f := range filters {
		examples, err := example.Load(f.Dir)
		require.NoError(t, err)
		require.NotEmpty(t, examples, "filters/%s has no examples/*.yaml", f.Name)
		all = append(all, shown{f, examples})
	}
	return all
}

// options are those that the filter's examples run with.
func (f shown) options(t *testing.T) example.Options {
	t.Helper()
	return example.Options{Envoy: findEnvoy(t), Filter: f.Name, Module: envoytest.Module(t, f.Name)}
}

// start starts the filter's first example.
func (f shown) start(t *testing.T) *example.Session {
	t.Helper()
	s, err := f.examples[0].Start(t.Context(), f.options(t))
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

func findEnvoy(t *testing.T) string {
	t.Helper()
	envoy, err := envoy.FindEnvoy()
	require.NoError(t, err)
	return envoy
}
