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
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
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
		p := envoytest.Start(t, envoytest.Setup{Envoy: envoy, Filters: envoytest.Chain(jwtfetch(t, oauth), hello), Services: tokens, Workers: 4})
		got := p.WhenServing()
		require.Equal(t, []string{"world"}, got.Header.Values("hello"))
		require.Regexp(t, `^Bearer [\w-]+\.[\w-]+\.[\w-]+$`, got.Upstream(t).Headers["authorization"])
		got = p.Get("/", "authorization", "Bearer "+"FoRgEd")
		require.NotContains(t, got.Body, "FoRgEd")
		require.Equal(t, 1, p.Stat(`wasmcustom\.jwtfetch\.fetches\.total`), "fetches for four workers")
		p.NeverTrapped()
	})
	t.Run("token service down", func(t *testing.T) {
		t.Parallel()
		p := envoytest.Start(t, envoytest.Setup{Envoy: envoy, Filters: envoytest.Chain(jwtfetch(t, oauth)), Services: down})
		p.Logs(": fetching token")
		tr := p.Traffic(2, "/", denied)
		tr.AtLeast(200)
		tr.Stop()
		p.NeverTrapped()
	})
	t.Run("versions under load", func(t *testing.T) {
		t.Parallel()
		p := envoytest.Start(t, envoytest.Setup{Envoy: envoy, Filters: envoytest.Chain(hello)})
		tr := p.Traffic(2, "/", func(a envoytest.Answer) error {
			if hello := a.Header.Get("hello"); !slices.Contains([]string{"world", "moon", "sun"}, hello) {
				return fmt.Errorf("the header is %q", hello)
			}
			return envoytest.OK(a)
		})
		reason := p.Refuses(addheader(t, `{name: hello, valu: world}`))
		require.True(t, strings.HasPrefix(reason, "addheader: parsing plugin configuration: /valu: unknown field"), reason)
		p.Switch(addheader(t, `{name: hello, value: moon}`))
		require.Equal(t, "moon", p.Get("/").Header.Get("hello"))
		next := addheader(t, `{name: hello, value: sun}`)
		next.Module = envoytest.OtherBytes(next.Module, "smoke")
		p.Switch(next)
		require.Equal(t, "sun", p.Get("/").Header.Get("hello"))
		tr.AtLeast(200)
		tr.Stop()
		p.NeverTrapped()
	})
	t.Run("FAIL_RELOAD", func(t *testing.T) {
		t.Parallel()
		p := envoytest.Start(t, envoytest.Setup{Envoy: envoy, Filters: envoytest.Chain(probe), Workers: 1})
		require.Equal(t, http.StatusServiceUnavailable, p.Get("/", "x-trap", "request").Status)
		require.Equal(t, "was here", p.WhenServing().Header.Get("x-probe"))
	})
}
