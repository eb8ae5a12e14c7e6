package plugin

import (
	"strings"
	"testing"

	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	"github.com/stretchr/testify/require"
	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	extensions "istio.io/api/extensions/v1alpha1"
)

func TestHTTPFilter(t *testing.T) {
	plugins, err := Load("testdata/rendered")
	require.NoError(t, err)
	for i, want := range []string{`{"config": {
		"name": "istio-ingress.jwtfetch",
		"root_id": "jwtfetch",
		"failure_policy": "FAIL_RELOAD",
		"configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue",
			"value": "{\"onMissing\":\"deny\",\"prefix\":\"Bearer \\u003c\\u0026\\u003e\",\"share\":true,\"upstream\":{\"host\":\"token.internal\",\"port\":80}}"},
		"vm_config": {
			"runtime": "envoy.wasm.runtime.v8",
			"code": {"local": {"filename": "/m.wasm"}},
			"environment_variables": {"host_env_keys": ["POD_NAME"], "key_values": {"LEVEL": "debug"}}}}}`,
		`{"config": {
		"name": "istio-ingress.addheader",
		"failure_policy": "FAIL_CLOSED",
		"configuration": {},
		"vm_config": {
			"runtime": "envoy.wasm.runtime.v8",
			"code": {"local": {"filename": "/m.wasm"}}}}}`,
	} {
		t.Run(plugins[i].Name, func(t *testing.T) {
			got, err := plugins[i].HTTPFilter(envoy.LocalFile("/m.wasm"))
			require.NoError(t, err)
			expected := &wasmfilterv3.Wasm{}
			require.NoError(t, protojson.Unmarshal([]byte(want), expected))
			require.True(t, proto.Equal(expected, got), "want %s\ngot %s", prototext.Format(expected), prototext.Format(got))
		})
	}
}

func TestHTTPFilterRefusesNetwork(t *testing.T) {
	plugins, err := Plugins(map[string][]byte{"x.yaml": []byte(object("a", "type: NETWORK"))})
	require.NoError(t, err)
	_, err = plugins[0].HTTPFilter(envoy.LocalFile("/m.wasm"))
	require.EqualError(t, err, `x.yaml: WasmPlugin "a": type NETWORK is not supported. want HTTP`)
}

func TestFailStrategies(t *testing.T) {
	for strategy, want := range map[string]string{"FAIL_CLOSE": "FAIL_CLOSED", "FAIL_OPEN": "FAIL_OPEN", "FAIL_RELOAD": "FAIL_RELOAD"} {
		plugins, err := Plugins(map[string][]byte{"x.yaml": []byte(object("a", "failStrategy: "+strategy))})
		require.NoError(t, err)
		got, err := plugins[0].HTTPFilter(envoy.LocalFile("/m.wasm"))
		require.NoError(t, err)
		require.Equal(t, want, got.Config.FailurePolicy.String())
	}
	require.Len(t, failurePolicies, len(extensions.FailStrategy_name), "the API has another failStrategy")
}

// Istio's API marshals itself with the same jsonpb package as istiod, so its JSON of a WasmPlugin holds istiod's bytes.
func TestConfigurationIsIstiods(t *testing.T) {
	for _, yaml := range []string{
		`{name: hello, value: world}`,
		`{b: 1, a: 2, B: 3, _: 4, "": 5, é: 6, "\U0001F600": 7, "\uFFFD": 8}`,
		`{s: "<script>&'\"\\/\u2028\u2029\u0000\u007f\t\n"}`,
		`{n: [0, -0.0, 1, -1, 1.5, 1e20, 1e21, 1e-6, 1e-7, 9007199254740993, 0.1, 123456789.125, 1.7976931348623157e308, 5e-324]}`,
		`{deep: {list: [[], {}, [null, true, false, ""], {x: null}]}}`,
	} {
		t.Run(yaml, func(t *testing.T) {
			plugins, err := Plugins(map[string][]byte{"x.yaml": []byte(object("a", "pluginConfig: "+yaml))})
			require.NoError(t, err)
			config := plugins[0].Spec.PluginConfig
			got, err := Configuration(config)
			require.NoError(t, err)
			istios, err := (&extensions.WasmPlugin{PluginConfig: config}).MarshalJSON()
			require.NoError(t, err)
			want := strings.TrimSuffix(strings.TrimPrefix(string(istios), `{"pluginConfig":`), "}")
			require.Equal(t, want, string(got))
		})
	}
}

func TestConfigurationOfNothing(t *testing.T) {
	for _, spec := range []string{"", "pluginConfig: {}", "pluginConfig:"} {
		plugins, err := Plugins(map[string][]byte{"x.yaml": []byte(object("a", spec))})
		require.NoError(t, err)
		got, err := Configuration(plugins[0].Spec.PluginConfig)
		require.NoError(t, err)
		require.Empty(t, got, spec)
	}
}
