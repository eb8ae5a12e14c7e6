//go:build envoy

package newverb

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/test/clone"
)

// Every kind builds, passes its tests as Go and as a module, shows its examples in Envoy, and leaves all that is rendered as it is.
func TestBuilds(t *testing.T) {
	dir := clone.Tree(t, root)
	clone.Programs(t, root, dir)
	clone.Modules(t, root, dir)
	for _, kind := range kinds {
		command := exec.Command("bash", "-euo", "pipefail", "-c", `make -s new FILTER=fresh-"$0" LIKE="$0"
make -s build examples FILTER=fresh-"$0"
go vet ./filters/fresh-"$0"
go test ./filters/fresh-"$0"
make -s render
git diff --exit-code`, kind.name)
		command.Dir = dir
		command.Env = append(command.Environ(), "MAKEFLAGS=", "MFLAGS=", "MAKELEVEL=")
		out, err := command.CombinedOutput()
		require.NoError(t, err, "%s\n%s", kind.name, out)
	}
}
