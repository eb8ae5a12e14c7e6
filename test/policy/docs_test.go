package policy

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// What docs/gitops.md says to a cluster names what is there: files, the label of a cluster, the Application of prod.
func TestConsole(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(root, "docs", "gitops.md"))
	require.NoError(t, err)
	var text string
	for _, block := range regexp.MustCompile("(?ms)^```console\n(.*?)^```$").FindAllSubmatch(doc, -1) {
		text += string(block[1])
	}
	files := regexp.MustCompile(` -f (\S+)`).FindAllStringSubmatch(text, -1)
	require.NotEmpty(t, files)
	for _, f := range files {
		require.FileExists(t, filepath.Join(root, f[1], "applicationset.yaml"))
	}
	f := load(t)
	label := regexp.MustCompile(` (\S+)=prod-eu`).FindStringSubmatch(text)
	require.NotNil(t, label)
	require.Contains(t, f.multi.Spec.Generators[0].Matrix.Generators[1].Clusters.Selector.MatchLabels, label[1])
	apps, err := applications(f.set, []string{"prod"})
	require.NoError(t, err)
	require.Regexp(t, `argocd app sync `+apps["prod"].Name+`\n`, text)
}
