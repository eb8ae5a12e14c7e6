package envoy

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
)

// A filter whose contexts and callouts are in another module does the same before and after its unused callbacks were dropped. An
// authentication that lost its callback would answer 200 to everybody.
func TestPruningALibrary(t *testing.T) {
	module, raw := fixture(t, "library")
	require.NotEqual(t, raw, module)
	for name, module := range map[string][]byte{"raw": raw, "pruned": module} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, setup{filters: chain(sandbox.Filter{Plugin: plugin(t, "library", "{}"), Module: module})})
			require.Equal(t, http.StatusUnauthorized, p.get("/").status)
			require.Equal(t, http.StatusOK, p.get("/", "x-api-key", "k").status)
			p.neverTrapped()
		})
	}
}
