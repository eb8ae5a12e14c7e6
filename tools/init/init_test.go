package initverb

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/scripttest"
)

func TestMain(m *testing.M) { scripttest.Main(m, Command()) }

func TestScripts(t *testing.T) { scripttest.Run(t, testscript.Params{}) }

func TestComplete(t *testing.T) {
	for name, c := range map[string]struct {
		owner string
		given identity
		want  string
	}{
		"no owner":           {"", identity{}, `--owner "": want`},
		"a path":             {"acme/filters", identity{}, `--owner "acme/filters": want`},
		"code":               {"$(touch x)", identity{}, "--owner"},
		"a scheme":           {"acme", identity{registry: "https://ghcr.io/acme"}, `--registry "https://ghcr.io/acme": want host/path, such as ghcr.io/acme`},
		"upper case":         {"acme", identity{registry: "ghcr.io/Acme"}, "--registry"},
		"a tag":              {"acme", identity{registry: "ghcr.io/acme:v1"}, "--registry"},
		"no path":            {"acme", identity{registry: "acme"}, "--registry"},
		"a slash at the end": {"acme", identity{registry: "ghcr.io/acme/"}, "--registry"},
		"credentials":        {"acme", identity{repository: "https://me:secret@github.com/acme/x.git"}, "without credentials"},
		"a file":             {"acme", identity{repository: "/srv/x.git"}, "--repository"},
		"a quote":            {"acme", identity{repository: `https://github.com/a'b`}, "--repository"},
		"two lines":          {"acme", identity{repository: "https://github.com/a\nb"}, "--repository"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.given.complete(c.owner)
			require.ErrorContains(t, err, c.want)
			require.False(t, strings.Contains(err.Error(), "%!"))
		})
	}
	for _, repository := range []string{"https://github.com/acme/x", "git@github.com:acme/x.git", "ssh://git@host.example.com:2222/acme/x.git"} {
		got, err := identity{repository: repository}.complete("Acme")
		require.NoError(t, err)
		require.Equal(t, identity{"ghcr.io/acme", repository}, got)
	}
}
