//go:build envoy

package examples

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/example"
)

// fixture puts its configuration on every response.
func fixture(t *testing.T) []byte {
	module, err := os.ReadFile(root + "/test/sandbox/testdata/hello.wasm")
	require.NoError(t, err)
	return module
}

func run(t *testing.T, file string, module []byte) ([]example.Seen, error) {
	envoy, err := envoy.FindEnvoy()
	require.NoError(t, err)
	e, err := example.Read(file)
	require.NoError(t, err)
	return e.Run(t.Context(), example.Options{Envoy: envoy, Filter: "hello", Module: module})
}

// An example says by file and line what is not as it wants.
func TestRunnerFinds(t *testing.T) {
	t.Parallel()
	_, err := run(t, "testdata/wrong.yaml", fixture(t))
	want, failed := os.ReadFile("testdata/wrong.out")
	require.NoError(t, failed)
	require.EqualError(t, err, string(want[:len(want)-1]))
}

// What is seen is the same for the same code in other bytes, so that two modules of a filter can be compared; for other code it
// is not.
func TestRunnerCompares(t *testing.T) {
	t.Parallel()
	first, err := run(t, "testdata/right.yaml", fixture(t))
	require.NoError(t, err)
	require.Len(t, first, 4)
	second, err := run(t, "testdata/right.yaml", envoytest.OtherBytes(fixture(t), "x"))
	require.NoError(t, err)
	require.Equal(t, first, second)
}

func TestRunnerSaysWhyAConfigurationIsRefused(t *testing.T) {
	t.Parallel()
	_, err := run(t, "testdata/refused.yaml", fixture(t))
	require.EqualError(t, err, "testdata/refused.yaml:2: example.hello: refused: hello: too long")
}
