//go:build envoy

package envoy

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// What people import compiles with the toolchain of make tools and does in Envoy what it does elsewhere. The program with the
// cryptography takes half a minute to compile and is for the long form.
func TestOrdinaryPackages(t *testing.T) {
	docs, err := os.ReadFile(filepath.Join(root, "docs/filters.md"))
	require.NoError(t, err)
	for _, name := range []string{"ordinary", "crypto"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("testdata", name, "main.go"), nil, parser.ImportsOnly)
			require.NoError(t, err)
			for _, spec := range file.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				require.NoError(t, err)
				if !strings.Contains(path, ".") {
					require.Contains(t, string(docs), "`"+path+"`", "docs/filters.md does not list it")
				}
			}
			if name == "crypto" && !longForm {
				return
			}
			module, _ := fixture(t, name)
			t.Logf("%d bytes", len(module))
			p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(sandbox.Filter{Plugin: envoytest.Plugin(t, name, "{}"), Module: module})})
			require.Equal(t, "yes", p.Get("/").Header.Get("x-checked"))
			p.NeverTrapped()
		})
	}
}
