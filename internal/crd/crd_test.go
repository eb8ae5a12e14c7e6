package crd

import (
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
			problems, err := Check("1.31", object)
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
	_, err := Check("1.31", map[string]any{"apiVersion": "extensions.istio.io/v1", "kind": "WasmPlugin"})
	require.ErrorIs(t, err, ErrUnknown)
	require.ErrorContains(t, err, "WasmPlugin/v1 in extensions.istio.io. Istio 1.31 has TrafficExtension/v1alpha1, WasmPlugin/v1alpha1")
	problems, err := Check("1.31", map[string]any{"apiVersion": "v1", "kind": "Namespace"})
	require.NoError(t, err)
	require.Empty(t, problems)
}

// What a minor lacks is a problem there, which names the minor that has it.
func TestMinors(t *testing.T) {
	_, err := Check("1.29", map[string]any{"apiVersion": "extensions.istio.io/v1alpha1", "kind": "TrafficExtension"})
	require.ErrorIs(t, err, ErrUnknown)
	require.ErrorContains(t, err, "Istio 1.29 has WasmPlugin/v1alpha1. Istio 1.30 has it")

	var object map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(`
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: demo, namespace: web}
spec:
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: WAYPOINT, waypoint: {}}
    patch: {operation: MERGE, value: {name: x}}
`), &object))
	for minor, want := range map[string]string{"1.28": "1.29", "1.29": "", "1.31": ""} {
		problems, err := Check(minor, object)
		require.NoError(t, err)
		if want == "" {
			require.Empty(t, problems, minor)
			continue
		}
		require.NotEmpty(t, problems, minor)
		for _, p := range problems {
			require.Equal(t, want, p.Since, p)
		}
	}
}
