package plugin

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	extensions "istio.io/api/extensions/v1alpha1"
)

func TestLoad(t *testing.T) {
	plugins, err := Load("testdata/rendered")
	require.NoError(t, err)
	require.Len(t, plugins, 2)
	jwtfetch, addheader := plugins[0], plugins[1]

	require.Equal(t, "istio-ingress.jwtfetch", jwtfetch.ID())
	require.Equal(t, "testdata/rendered/extensions.istio.io_v1alpha1_wasmplugin_jwtfetch.yaml", jwtfetch.File)
	require.Equal(t, "AUTHN", jwtfetch.PhaseName())
	require.Equal(t, extensions.FailStrategy_FAIL_RELOAD, jwtfetch.Spec.FailStrategy)
	require.EqualValues(t, 8080, jwtfetch.Spec.Match[0].Ports[0].Number)

	require.Equal(t, "UNSPECIFIED_PHASE", addheader.PhaseName())
}

func TestLoadMissingFolder(t *testing.T) {
	_, err := Load("testdata/missing")
	require.ErrorContains(t, err, "testdata/missing")
}

func TestPluginsInOneFile(t *testing.T) {
	plugins, err := Plugins(map[string][]byte{"all.yaml": []byte(object("a", "") + "---\n# nothing\n---\nkind: List\n---\n" + object("b", ""))})
	require.NoError(t, err)
	require.Equal(t, []string{"ns.a", "ns.b"}, ids(plugins))
}

func TestPluginsRefuses(t *testing.T) {
	for _, tc := range []struct{ name, yaml, want string }{
		{"broken YAML", "kind: [", "x.yaml: error converting YAML to JSON"},
		{"unknown field of the spec", object("a", "prioritty: 1"), `x.yaml: WasmPlugin "a": spec: unknown field "prioritty"`},
		{"unknown field of the object", object("a", "") + "spek: {}\n", `x.yaml: error unmarshaling JSON: while decoding JSON: json: unknown field "spek"`},
		{"unknown field of the metadata", strings.Replace(object("a", ""), "namespace", "nameSpaces", 1), `unknown field "nameSpaces"`},
		{"repeated field", object("a", "phase: AUTHN\n  phase: AUTHZ"), `key "phase" already set in map`},
		{"unknown phase", object("a", "phase: AUTH"), `x.yaml: WasmPlugin "a": spec: invalid value for enum field phase: "AUTH"`},
		{"pluginConfig that is no object", object("a", "pluginConfig: [1]"), `x.yaml: WasmPlugin "a": spec: unexpected token [`},
		{"another version", strings.Replace(object("a", ""), "v1alpha1", "v1", 1), `x.yaml: WasmPlugin of apiVersion "extensions.istio.io/v1": want extensions.istio.io/v1alpha1`},
		{"no name", strings.Replace(object("a", ""), "name: a", "{}", 1), "x.yaml: "},
		{"the same object twice", object("a", "") + "---\n" + object("a", ""), `x.yaml: WasmPlugin "a" is also in x.yaml. remove one`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Plugins(map[string][]byte{"x.yaml": []byte(tc.yaml)})
			require.ErrorContains(t, err, tc.want)
		})
	}
}

// object is a WasmPlugin as YAML.
func object(name, spec string) string {
	return "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata:\n  name: " + name + "\n  namespace: ns\nspec:\n  url: oci://r/x\n  " + spec + "\n"
}

func ids(plugins []*Plugin) (ids []string) {
	for _, p := range plugins {
		ids = append(ids, p.ID())
	}
	return ids
}
