package crd

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const good = `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: demo, namespace: web}
spec:
  url: oci://ghcr.io/team/demo:v1
  pluginConfig: {anything: {goes: [here]}}
`

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct{ add, field, message string }{
		"good":          {"", "", ""},
		"unknown":       {"  selecter: {}\n", "spec.selecter", "no such field"},
		"nested":        {"  match: [{mod: CLIENT}]\n", "spec.match[0].mod", "no such field"},
		"enum":          {"  phase: LATE\n", "spec.phase", `Unsupported value: "LATE"`},
		"list map":      {"  match: [{ports: [{number: 80}, {number: 80}]}]\n", "spec.match[0].ports[1]", "Duplicate value"},
		"type":          {"  priority: ten\n", "spec.priority", "must be of type integer"},
		"CEL":           {"  selector: {matchLabels: {a: b}}\n  targetRefs: [{kind: Gateway, name: g, group: gateway.networking.k8s.io}]\n", "spec", "only one of"},
		"CEL of labels": {"  selector: {matchLabels: {a: \"*\"}}\n", "spec.selector.matchLabels[a]", "wildcard not allowed"},
		"pattern":       {"  sha256: ABC\n", "spec.sha256", "should match"},
	} {
		t.Run(name, func(t *testing.T) {
			var object map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(good+c.add), &object))
			problems, err := Check(object)
			require.NoError(t, err)
			if c.message == "" {
				require.Empty(t, problems)
				return
			}
			require.NotEmpty(t, problems)
			require.Equal(t, c.field, problems[0].Field, problems)
			require.Contains(t, problems[0].Message, c.message)
		})
	}
}

func TestUnknownKind(t *testing.T) {
	_, err := Check(map[string]any{"apiVersion": "extensions.istio.io/v1", "kind": "WasmPlugin"})
	require.ErrorIs(t, err, ErrUnknown)
	require.ErrorContains(t, err, "WasmPlugin/v1 in extensions.istio.io. Istio has TrafficExtension/v1alpha1, WasmPlugin/v1alpha1")
	problems, err := Check(map[string]any{"apiVersion": "v1", "kind": "Namespace"})
	require.NoError(t, err)
	require.Empty(t, problems)
}

// The embedded copy is what generate makes of the module in go.mod.
func TestCopyIsTheModules(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "istio")
	out, err := exec.Command("go", "run", "generate.go", dir).CombinedOutput()
	require.NoError(t, err, string(out))
	want, err := os.ReadDir(dir)
	require.NoError(t, err)
	have, err := os.ReadDir("istio")
	require.NoError(t, err)
	require.Len(t, have, len(want), `run "go generate ./internal/crd"`)
	for _, e := range want {
		a, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		b, err := os.ReadFile(filepath.Join("istio", e.Name()))
		require.NoError(t, err)
		require.Equal(t, string(a), string(b), `%s: run "go generate ./internal/crd"`, e.Name())
	}
}
