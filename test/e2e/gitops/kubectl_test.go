package gitops

import (
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/programs"
)

// Whoever prefers `kubectl apply -k` to Argo CD gets the same bytes.
func TestKubectlKustomize(t *testing.T) {
	kubectl := programs.Path(t, programs.Kubectl)
	environments, err := manifests.All(filepath.Join(root, "manifests"))
	require.NoError(t, err)
	for _, env := range environments {
		require.Equal(t, plugin.WasmPlugin.Kind, env.API, "kustomize knows no other")
		cmd := exec.CommandContext(t.Context(), kubectl, "kustomize", env.Dir)
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin"}
		out, err := cmd.Output()
		require.NoError(t, err)

		files, err := plugin.Files(env.Rendered())
		require.NoError(t, err)
		var rendered []string
		for _, file := range slices.SortedFunc(maps.Keys(files), func(a, b string) int {
			return strings.Compare(strings.TrimSuffix(a, ".yaml"), strings.TrimSuffix(b, ".yaml"))
		}) {
			rendered = append(rendered, string(files[file]))
		}
		require.Equal(t, strings.Join(rendered, "---\n"), string(out), env.Name)
	}
}
