//go:build envoy

package envoy

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	extensions "istio.io/api/extensions/v1alpha1"

	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

var failStrategies = map[string]extensions.FailStrategy{
	"FAIL_CLOSE":  extensions.FailStrategy_FAIL_CLOSE,
	"FAIL_OPEN":   extensions.FailStrategy_FAIL_OPEN,
	"FAIL_RELOAD": extensions.FailStrategy_FAIL_RELOAD,
}

// A trap is a 503 for the request that met it, whatever the failStrategy. What follows differs.
func TestFailStrategyHolds(t *testing.T) {
	f := probe(t, "FAIL_CLOSE")
	for _, tc := range []struct {
		strategy string
		status   int    // of the requests that follow
		header   string // that the filter puts on them
		reloads  int
	}{
		{"FAIL_CLOSE", http.StatusServiceUnavailable, "", 0},
		{"FAIL_OPEN", http.StatusOK, "", 0},
		{"FAIL_RELOAD", http.StatusOK, "was here", 1},
	} {
		t.Run(tc.strategy, func(t *testing.T) {
			t.Parallel()
			f := f
			f.Plugin = envoytest.Plugin(t, "probe", "{}")
			f.Plugin.Spec.FailStrategy = failStrategies[tc.strategy]
			p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(f), Workers: 1})
			require.Equal(t, "was here", p.Get("/").Header.Get("x-probe"))

			// FAIL_RELOAD waits up to 1.5 s from one start of a VM to the next.
			time.Sleep(1600 * time.Millisecond)
			require.Equal(t, http.StatusServiceUnavailable, p.Get("/", "x-trap", "request").Status)
			p.Logs("proxy_on_request_headers failed")
			for range 100 {
				got := p.Get("/")
				require.Equal(t, tc.status, got.Status)
				require.Equal(t, tc.header, got.Header.Get("x-probe"))
			}
			require.Equal(t, tc.reloads, p.Stat(`wasm\..*\.vm_reload_success`))

			if tc.strategy == "FAIL_RELOAD" {
				// A second trap meets the back-off, and is over soon.
				require.Equal(t, http.StatusServiceUnavailable, p.Get("/", "x-trap", "response").Status)
				begin := time.Now()
				require.Equal(t, "was here", p.WhenServing().Header.Get("x-probe"))
				t.Logf("serving again after %s", time.Since(begin))
			}
			// Envoy itself is unharmed: a new version heals every strategy.
			f.Module = envoytest.OtherBytes(f.Module, "healed")
			p.Switch(saying(t, f, "healed"))
			require.Equal(t, "healed", p.Get("/").Header.Get("x-probe"))
		})
	}
}
