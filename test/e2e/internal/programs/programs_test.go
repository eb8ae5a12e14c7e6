package programs

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What the programs say of themselves is what go.mod requires.
func TestVersions(t *testing.T) {
	for module, version := range map[string]string{"k8s.io/kubernetes": kubernetesVersion, "github.com/argoproj/argo-cd/v3": "v" + argoVersion} {
		out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", module).Output()
		require.NoError(t, err)
		require.Equal(t, version+"\n", string(out))
	}
}

// `make e2e` runs this before the other tests: what is built here, they find in the cache.
func TestPath(t *testing.T) {
	compile(t, all...)
	for _, tool := range all {
		started := time.Now()
		info, err := os.Stat(Path(t, tool))
		require.NoError(t, err)
		t.Logf("%s: %d MB after %s", tool, info.Size()>>20, time.Since(started).Round(time.Second))
	}
}
