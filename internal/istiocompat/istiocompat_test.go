package istiocompat

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTestedEnvoys(t *testing.T) {
	tested := TestedEnvoys()
	require.Len(t, tested, len(Minors())+1)
	for i, istio := range Minors() {
		envoy, ok := Envoy(istio)
		require.True(t, ok)
		require.True(t, strings.HasPrefix(tested[i], envoy+"."), "Istio %s has Envoy %s, tested is %s", istio, envoy, tested[i])
	}
	_, ok := Envoy("1.1")
	require.False(t, ok)

	tools, err := os.ReadFile("../../Tools.mk")
	require.NoError(t, err)
	require.Contains(t, string(tools), "\nENVOY_VERSION     := "+next+"\n", "Tools.mk pins another Envoy")

	// The releases that test/envoy/versions.sh fetches.
	file, err := os.ReadFile("../../test/envoy/versions.txt")
	require.NoError(t, err)
	var fetched []string
	for line := range strings.Lines(string(file)) {
		if version, sums, ok := strings.Cut(line, " "); ok && version != "#" {
			fetched = append(fetched, version)
			require.Len(t, strings.Fields(sums), 3, "want the sums of three wheels: %s", version)
		}
	}
	require.Equal(t, tested, fetched)
}
