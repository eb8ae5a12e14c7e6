package plugin

import (
	"encoding/json"
	"fmt"
	"hash/fnv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	extensions "istio.io/api/extensions/v1alpha1"
)

const runtime = "envoy.wasm.runtime.v8"

// failurePolicies are Envoy's words for failStrategy.
var failurePolicies = map[extensions.FailStrategy]wasmv3.FailurePolicy{
	extensions.FailStrategy_FAIL_CLOSE:  wasmv3.FailurePolicy_FAIL_CLOSED,
	extensions.FailStrategy_FAIL_OPEN:   wasmv3.FailurePolicy_FAIL_OPEN,
	extensions.FailStrategy_FAIL_RELOAD: wasmv3.FailurePolicy_FAIL_RELOAD,
}

// HTTPFilter is the Wasm filter that istiod makes of the plugin, after the agent's rewriting: only where the code comes from is
// the caller's. (What istiod adds for the agent alone, environment variables ISTIO_META_*, never reaches Envoy.)
func (p *Plugin) HTTPFilter(code *corev3.AsyncDataSource) (*wasmfilterv3.Wasm, error) {
	if p.rendered != nil {
		filter := proto.CloneOf(p.rendered)
		filter.Config.GetVmConfig().Code = code
		return filter, nil
	}
	if p.Spec.Type == extensions.PluginType_NETWORK {
		return nil, fmt.Errorf("%s: WasmPlugin %q: type NETWORK is not supported. want HTTP", p.File, p.Name)
	}
	configuration, err := configurationAny(p.Spec.PluginConfig)
	if err != nil {
		return nil, fmt.Errorf("%s: WasmPlugin %q: pluginConfig: %w", p.File, p.Name, err)
	}
	return &wasmfilterv3.Wasm{Config: &wasmv3.PluginConfig{
		Name:          p.ID(),
		RootId:        p.Spec.PluginName,
		FailurePolicy: failurePolicies[p.Spec.FailStrategy],
		Configuration: configuration,
		Vm: &wasmv3.PluginConfig_VmConfig{VmConfig: &wasmv3.VmConfig{
			Runtime:              runtime,
			Code:                 code,
			EnvironmentVariables: environmentVariables(p.Spec.VmConfig),
		}},
	}}, nil
}

// Configuration is what OnPluginStart reads: the bytes that istiod makes of pluginConfig. An absent pluginConfig and an empty
// one are the same, nothing.
//
// Istiod marshals with the old jsonpb package (pilot/pkg/model/extensions.go, pkg/util/protomarshal), whose JSON of a Struct is
// that of encoding/json: compact, sorted keys, <, > and & escaped. The newer protojson would put in white space that changes
// from binary to binary.
func Configuration(pluginConfig *structpb.Struct) ([]byte, error) {
	if len(pluginConfig.GetFields()) == 0 {
		return nil, nil
	}
	return json.Marshal(pluginConfig.AsMap())
}

// Fingerprint is what a filter of this repository's build says that it runs with: tools/filterbuild/sdk/proof.go. 48 bits of FNV-1a, since
// Prometheus has floats.
func Fingerprint(configuration []byte) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(configuration)
	return h.Sum64() >> 16
}

func configurationAny(pluginConfig *structpb.Struct) (*anypb.Any, error) {
	data, err := Configuration(pluginConfig)
	if err != nil || data == nil {
		return &anypb.Any{}, err
	}
	return anypb.New(wrapperspb.String(string(data)))
}

func environmentVariables(vm *extensions.VmConfig) *wasmv3.EnvironmentVariables {
	if len(vm.GetEnv()) == 0 {
		return nil
	}
	vars := &wasmv3.EnvironmentVariables{KeyValues: map[string]string{}}
	for _, e := range vm.GetEnv() {
		switch e.ValueFrom {
		case extensions.EnvValueSource_INLINE:
			vars.KeyValues[e.Name] = e.Value
		case extensions.EnvValueSource_HOST:
			vars.HostEnvKeys = append(vars.HostEnvKeys, e.Name)
		}
	}
	return vars
}
