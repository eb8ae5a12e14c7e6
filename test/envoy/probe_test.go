package envoy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

var tinygoFlags = regexp.MustCompile(`(?m)^TINYGOFLAGS := (.*)$`)

// probe is testdata/probe as the Makefile compiles a filter, without the flags that are named.
func probe(t *testing.T, failStrategy string, without ...string) sandbox.Filter {
	t.Helper()
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	match := tinygoFlags.FindSubmatch(makefile)
	require.NotNil(t, match, "the Makefile has no TINYGOFLAGS")
	flags := strings.Fields(string(match[1]))
	for _, flag := range without {
		i := slices.Index(flags, flag)
		require.GreaterOrEqual(t, i, 0, "TINYGOFLAGS has no %s", flag)
		flags = slices.Delete(flags, i, i+1)
	}
	file := filepath.Join(t.TempDir(), "probe.wasm")
	args := slices.Concat([]string{"build"}, flags, []string{"-o", file, "./testdata/probe"})
	out, err := exec.Command(filepath.Join(root, ".tools/bin/tinygo"), args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	module, err := os.ReadFile(file)
	require.NoError(t, err)
	f := sandbox.Filter{Plugin: envoytest.Plugin(t, "probe", "{}"), Module: module}
	f.Plugin.Spec.FailStrategy = failStrategies[failStrategy]
	return f
}
