//go:build soak

package envoy

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/istiocompat"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
)

// The filters do their work on every Envoy that a supported Istio carries.
func TestEveryEnvoy(t *testing.T) {
	f := probe(t, "FAIL_RELOAD")
	for _, version := range istiocompat.TestedEnvoys() {
		t.Run(version, func(t *testing.T) {
			envoy, err := filepath.Abs(filepath.Join(root, ".tools", "envoy-"+version, "envoy"))
			require.NoError(t, err)
			said, err := exec.Command(envoy, "--version").Output()
			require.NoError(t, err, "run test/envoy/versions.sh")
			require.Contains(t, string(said), "/"+version+"/")
			smoke(t, envoy, f)
		})
	}
}

// smoke is the part of the suite that every Envoy must pass which a supported Istio carries.
func smoke(t *testing.T, envoy string, probe sandbox.Filter) {
	hello := addheader(t, `{name: hello, value: world}`)
	t.Run("both filters", func(t *testing.T) {
		t.Parallel()
		p := start(t, setup{envoy: envoy, filters: chain(jwtfetch(t, oauth), hello), workers: 4})
		got := p.whenServing()
		require.Equal(t, []string{"world"}, got.header.Values("hello"))
		require.Regexp(t, `^Bearer [\w-]+\.[\w-]+\.[\w-]+$`, got.upstream(t).Headers["authorization"])
		got = p.get("/", "authorization", "Bearer "+forged)
		require.NotContains(t, got.body, forged)
		require.Equal(t, 1, p.stat(`wasmcustom\.jwtfetch\.fetches\.total`), "fetches for four workers")
		p.neverTrapped()
	})
	t.Run("token service down", func(t *testing.T) {
		t.Parallel()
		p := start(t, setup{envoy: envoy, filters: chain(jwtfetch(t, oauth)), noToken: true})
		p.failuresAtLeast(1)
		tr := p.traffic(2, "/", denied)
		tr.atLeast(200)
		tr.stop()
		p.neverTrapped()
	})
	t.Run("versions under load", func(t *testing.T) {
		t.Parallel()
		p := start(t, setup{envoy: envoy, filters: chain(hello)})
		tr := p.traffic(2, "/", func(a answer) error {
			if hello := a.Header.Get("hello"); !slices.Contains([]string{"world", "moon", "sun"}, hello) {
				return fmt.Errorf("the header is %q", hello)
			}
			return ok(a)
		})
		reason := p.refuses(addheader(t, `{name: hello, valu: world}`))
		require.True(t, strings.HasPrefix(reason, "addheader: parsing plugin configuration: /valu: unknown field"), reason)
		p.apply(addheader(t, `{name: hello, value: moon}`))
		require.Equal(t, "moon", p.get("/").header.Get("hello"))
		next := addheader(t, `{name: hello, value: sun}`)
		next.Module = otherBytes(next.Module, "smoke")
		p.apply(next)
		require.Equal(t, "sun", p.get("/").header.Get("hello"))
		tr.atLeast(200)
		tr.stop()
		p.neverTrapped()
	})
	t.Run("FAIL_RELOAD", func(t *testing.T) {
		t.Parallel()
		p := start(t, setup{envoy: envoy, filters: chain(probe), workers: 1})
		require.Equal(t, http.StatusServiceUnavailable, p.get("/", "x-trap", "request").status)
		require.Equal(t, "was here", p.whenServing().header.Get("x-probe"))
	})
}
