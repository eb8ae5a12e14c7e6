package plugin

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPluginsAreInChainOrder(t *testing.T) {
	want := []string{
		"authn-high", "authn-low",
		"authz",
		"stats",
		"plain-high", "plain-zero", "plain-negative", "plain-unset",
		"tie-a", "tie-b",
	}
	specs := map[string]string{
		"authn-high": "phase: AUTHN, priority: 10", "authn-low": "phase: AUTHN, priority: 1",
		"authz": "phase: AUTHZ", "stats": "phase: STATS",
		"plain-high": "priority: 1", "plain-zero": "priority: 0", "plain-negative": "priority: -5", "plain-unset": "phase: UNSPECIFIED_PHASE",
		"tie-a": "", "tie-b": "",
	}
	var documents []string
	for _, name := range want {
		documents = append(documents, strings.Replace(object(name, ""), "\n  url: oci://r/x\n  \n", " {"+specs[name]+"}\n", 1))
	}
	for range 20 {
		rand.Shuffle(len(documents), func(i, j int) { documents[i], documents[j] = documents[j], documents[i] })
		plugins, err := Plugins(map[string][]byte{"x.yaml": []byte(strings.Join(documents, "---\n"))})
		require.NoError(t, err)
		var got []string
		for _, p := range plugins {
			got = append(got, p.Name)
		}
		require.Equal(t, want, got)
	}
}
