package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/environment"
)

var update = flag.Bool("update", false, "write the .out files")

// Each <rule>*.yaml is rendered objects and <rule>*.out what the rules say of them: exactly that rule. ok*.yaml has no findings.
func TestRules(t *testing.T) {
	filters := []catalog.Filter{
		{Name: "demo", Phases: []string{"AUTHN", "AUTHZ", "STATS"}, Istio: ">=1.29", Callouts: []catalog.Callout{{Upstream: "/upstream", Purpose: "token"}}},
	}
	covered := map[string]bool{}
	files, err := filepath.Glob("testdata/rules/*.yaml")
	require.NoError(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			got := findingsOf(t, file, filters)
			if strings.HasPrefix(name, "ok") {
				require.Empty(t, got)
				return
			}
			out := strings.TrimSuffix(file, ".yaml") + ".out"
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
	for _, r := range rules {
		require.True(t, covered[r.name], "rule %s has no fixture that fails without it", r.name)
	}
}

// findingsOf builds the objects of a file as the overlay of an environment called prod. Its first line may say which Istio.
func findingsOf(t *testing.T, file string, filters []catalog.Filter) []finding {
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	env := environment.Environment{Name: "prod", Dir: "manifests/overlays/prod", Upstream: "dev", Istio: "1.31"}
	if first, _, _ := strings.Cut(string(content), "\n"); strings.HasPrefix(first, "# istio: ") {
		env.Istio = strings.TrimPrefix(first, "# istio: ")
	}
	memory := filesys.MakeFsInMemory()
	require.NoError(t, memory.WriteFile("/kustomization.yaml", []byte("resources: [all.yaml]\n")))
	require.NoError(t, memory.WriteFile("/all.yaml", content))
	objects, err := kustomize(memory, "/")
	require.NoError(t, err)
	tree, err := newTree(env, objects, filters)
	require.NoError(t, err)
	findings, err := lint(tree)
	require.NoError(t, err)
	return findings
}
