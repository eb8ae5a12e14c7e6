//go:build envoy

package envoy

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox/example"
)

// A VM that traps fails an example, whatever the answers are.
func TestExampleFindsTraps(t *testing.T) {
	e, err := example.Read("testdata/trap.yaml")
	require.NoError(t, err)
	_, err = e.Run(t.Context(), example.Options{Envoy: findEnvoy(t), Filter: "probe", Module: probe(t, "FAIL_RELOAD").Module})
	require.ErrorContains(t, err, "testdata/trap.yaml:1: the filter trapped")
}
