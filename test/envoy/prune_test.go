//go:build envoy

package envoy

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// A filter whose contexts and callouts are in another module does the same before and after its unused callbacks were dropped. An
// authentication that lost its callback would answer 200 to everybody.
func TestPruningALibrary(t *testing.T) {
	module, raw := fixture(t, "library")
	require.NotEqual(t, raw, module)
	for name, module := range map[string][]byte{"raw": raw, "pruned": module} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(sandbox.Filter{Plugin: envoytest.Plugin(t, "library", "{}"), Module: module})})
			require.Equal(t, http.StatusUnauthorized, p.Get("/").Status)
			require.Equal(t, http.StatusOK, p.Get("/", "x-api-key", "k").Status)
			p.NeverTrapped()
		})
	}
}
