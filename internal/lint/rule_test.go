package lint

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

var update = flag.Bool("update", false, "write the .out files")

// Each <rule>*.yaml is rendered objects and <rule>*.out what the rules say of them: exactly that rule. ok*.yaml has no findings.
func TestRules(t *testing.T) {
	filters := []catalog.Filter{
		{Name: "demo", Phases: []string{"AUTHN", "AUTHZ", "STATS"}, Istio: ">=1.29", Callouts: []catalog.Callout{{Upstream: "/upstream", Purpose: "token"}}, Capabilities: []string{"proxy_log"}},
		{Name: "holder", Phases: []string{"AUTHN", "AUTHZ"}, StopIteration: "headers", Capabilities: []string{"proxy_log"}},
	}
	covered := map[string]bool{}
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			out, err := filepath.Abs(strings.TrimSuffix(file, ".yaml") + ".out")
			require.NoError(t, err)
			got := findingsOf(t, file, filters)
			if !strings.HasPrefix(name, rulePinned.Name) { // nothing is pinned here
				got = slices.DeleteFunc(got, func(f Finding) bool { return f.Rule == rulePinned.Name })
			}
			if strings.HasPrefix(name, "ok") {
				require.Empty(t, got)
				return
			}
			text := ""
			for _, f := range got {
				covered[f.Rule] = true
				require.True(t, strings.HasPrefix(name, f.Rule), "the case is about one rule: %s", f)
				text += f.String() + "\n"
			}
			if *update {
				require.NoError(t, os.WriteFile(out, []byte(text), 0o644))
			}
			want, err := os.ReadFile(out)
			require.NoError(t, err)
			require.NotEmpty(t, text)
			require.Equal(t, string(want), text)
		})
	}
	for _, r := range Rules {
		if trees, err := filepath.Glob("testdata/trees/" + r.Name + "*.txtar"); err == nil && len(trees) > 0 {
			continue // TestTrees
		}
		require.True(t, covered[r.Name], "rule %s has no fixture that fails without it", r.Name)
	}
}

// findingsOf builds the objects of a file as the overlay of an environment called prod. Comments at its top are lines of
// environment.yaml.
func findingsOf(t *testing.T, file string, filters []catalog.Filter) []Finding {
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	settings := map[string]string{"upstream": "home", "istio": `"1.31"`}
	for line := range strings.Lines(string(content)) {
		key, value, ok := strings.Cut(strings.TrimPrefix(line, "# "), ": ")
		if !ok || !strings.HasPrefix(line, "# ") {
			break
		}
		settings[key] = strings.TrimSpace(value)
	}
	t.Chdir(t.TempDir())
	write := func(path, text string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	var settingsYAML strings.Builder
	for key, value := range settings {
		settingsYAML.WriteString(key + ": " + value + "\n")
	}
	write("manifests/overlays/prod/environment.yaml", settingsYAML.String())
	write("manifests/overlays/prod/kustomization.yaml", "resources: [all.yaml]\n")
	write("manifests/overlays/prod/all.yaml", string(content))
	env, err := manifests.Load("manifests", "prod")
	require.NoError(t, err)
	r, err := manifests.Build(env, filters, func(string) {})
	require.NoError(t, err)
	findings, _, err := Check(r)
	require.NoError(t, err)
	return findings
}
