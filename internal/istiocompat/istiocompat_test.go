package istiocompat

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTable(t *testing.T) {
	require.NotEmpty(t, Minors())
	require.Len(t, TestedEnvoys(), len(Minors())+1, "one for each minor, and the next")
	for _, istio := range Minors() {
		_, ok := TestedEnvoy(istio)
		require.True(t, ok, istio)
	}
	for _, unknown := range []string{"1.1", "", "next", "#"} {
		_, ok := TestedEnvoy(unknown)
		require.False(t, ok, unknown)
	}
	line := regexp.MustCompile(`^(1\.[0-9]+|next) 1\.[0-9]+\.[0-9]+( [0-9a-f]{64}){3}\n$`)
	for l := range strings.Lines(table) {
		if !strings.HasPrefix(l, "#") {
			require.Regexp(t, line, l)
		}
	}
}
