package programs

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the programs say of themselves is what go.mod requires.
func TestVersions(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes").Output()
	require.NoError(t, err)
	require.Equal(t, kubernetesVersion+"\n", string(out))
}
