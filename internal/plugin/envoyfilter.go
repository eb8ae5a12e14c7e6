package plugin

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	extensions "istio.io/api/extensions/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	typev1beta1 "istio.io/api/type/v1beta1"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

const (
	wasmType = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
	// rbacType is what the agent puts in place of a filter whose image it could not fetch. Envoy refuses the replacement, and keeps
	// waiting, when the listener does not name its type.
	rbacType = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"

	hcm    = "envoy.filters.network.http_connection_manager"
	router = "envoy.filters.http.router"

	// fetchTimeout is what istiod gives a WasmPlugin. Without one the agent gives up after 5 s.
	fetchTimeout = 30 * time.Second
)

// maxEnvoyFilterPriority bounds the priorities, either way, that EnvoyFilter can keep in order.
const maxEnvoyFilterPriority = 9_999_999

// An EnvoyFilter is applied in ascending order of its own priority, and one that inserts at the front pushes the earlier ones
// back. So the phase becomes a place and a band of priorities, in which the plugin's priority counts up or down.
var bands = map[extensions.PluginPhase]struct {
	operation networking.EnvoyFilter_Patch_Operation
	middle    int32
	sign      int32
}{
	extensions.PluginPhase_AUTHN:             {networking.EnvoyFilter_Patch_INSERT_FIRST, 10_000_000, 1},
	extensions.PluginPhase_STATS:             {networking.EnvoyFilter_Patch_INSERT_BEFORE, 30_000_000, -1},
	extensions.PluginPhase_UNSPECIFIED_PHASE: {networking.EnvoyFilter_Patch_INSERT_BEFORE, 50_000_000, -1},
}

// referencedServices makes istiod send a gateway or waypoint the clusters of these services, in Istio 1.26 and later. Without it a
// proxy that has only the clusters of its routes could not call them.
const referencedServices = "envoyfilter.istio.io/referenced-services"

// EnvoyFilter is the API that patches Envoy's configuration. It can restrict a module to what it uses.
var EnvoyFilter = &API{
	Kind:       "EnvoyFilter",
	APIVersion: "networking.istio.io/v1alpha3",
	Restricts:  true,
	ByHand:     true,
	Lost:       notInEnvoyFilter,
	path:       samePath,
	decode: func(p *Plugin, spec json.RawMessage) (bool, error) {
		var ef networking.EnvoyFilter
		if err := protojson.Unmarshal(spec, &ef); err != nil {
			return false, err
		}
		w, filter, err := fromEnvoyFilter(&ef)
		if w == nil || err != nil {
			return false, err
		}
		p.rendered = filter
		proto.Merge(&p.Spec, w)
		return true, nil
	},
	encode: func(p *Plugin, facts Facts, _ map[string]any) (map[string]any, map[string]string, error) {
		message, err := p.envoyFilter(facts)
		if err != nil {
			return nil, nil, err
		}
		spec, err := specOf(message)
		var hosts []string
		for _, c := range facts.Callouts {
			if u := p.Upstream(c); u.Host != "" {
				hosts = append(hosts, u.Host)
			}
		}
		if len(hosts) == 0 {
			return spec, nil, err
		}
		slices.Sort(hosts)
		return spec, map[string]string{referencedServices: strings.Join(slices.Compact(hosts), ",")}, err
	},
}

func notInEnvoyFilter(w *extensions.WasmPlugin) map[string]string {
	lost := map[string]string{}
	if w.ImagePullSecret != "" {
		lost["imagePullSecret"] = "istiod sends pull secrets for WasmPlugin and TrafficExtension only. give the proxy credentials, or use another api"
	}
	if w.Phase == extensions.PluginPhase_AUTHZ {
		lost["phase"] = "there is no fixed place between Istio's authentication and authorization. use AUTHN, which runs before both, or another api"
	}
	if p := w.Priority.GetValue(); p > maxEnvoyFilterPriority || p < -maxEnvoyFilterPriority {
		lost["priority"] = fmt.Sprintf("want one between -%d and %[1]d", maxEnvoyFilterPriority)
	}
	for _, ref := range append(w.TargetRefs, w.TargetRef) {
		if kind := ref.GetKind(); kind == "Service" || kind == "ServiceEntry" {
			lost["targetRefs"] = "istiod attaches an EnvoyFilter to no " + kind + ". use another api"
		}
	}
	for _, m := range w.Match {
		if len(m.Ports) > 0 {
			lost["match"] = "ports of an EnvoyFilter are those of listeners, which are not the ports of match. leave ports out, or use another api"
		}
	}
	return lost
}

// envoyFilter is the plugin as patches of istiod's configuration: the filter as an ECDS resource, which makes the agent fetch the
// image, and its place in the chain. The filter may only use its capabilities; none means all. What notInEnvoyFilter
// lists is left out.
func (p *Plugin) envoyFilter(facts Facts) (*networking.EnvoyFilter, error) {
	filter, err := p.discovered(p.ID())
	if err != nil {
		return nil, err
	}
	if facts.HoldsHeaders {
		filter.Config.AllowOnHeadersStopIteration = wrapperspb.Bool(true)
	}
	if len(facts.Capabilities) > 0 {
		allowed := map[string]*wasmv3.SanitizationConfig{}
		for _, c := range facts.Capabilities {
			allowed[c] = &wasmv3.SanitizationConfig{}
		}
		//nolint:staticcheck // its new place, in vm_config, is unknown to the Envoys of Istio up to 1.31
		filter.Config.CapabilityRestrictionConfig = &wasmv3.CapabilityRestrictionConfig{AllowedCapabilities: allowed}
	}
	ef, err := p.withResource(filter)
	if err != nil {
		return nil, err
	}
	reference, err := structOf(reference(p.ID()))
	if err != nil {
		return nil, err
	}
	band := bands[p.Spec.Phase]
	ef.Priority = band.middle + band.sign*p.Spec.Priority.GetValue()
	for _, context := range p.patchContexts() {
		chain := &networking.EnvoyFilter_ListenerMatch_FilterMatch{Name: hcm}
		if band.operation == networking.EnvoyFilter_Patch_INSERT_BEFORE {
			chain.SubFilter = &networking.EnvoyFilter_ListenerMatch_SubFilterMatch{Name: router}
		}
		ef.ConfigPatches = append(ef.ConfigPatches, &networking.EnvoyFilter_EnvoyConfigObjectPatch{
			ApplyTo: networking.EnvoyFilter_HTTP_FILTER,
			Match: &networking.EnvoyFilter_EnvoyConfigObjectMatch{
				Context: context,
				ObjectTypes: &networking.EnvoyFilter_EnvoyConfigObjectMatch_Listener{Listener: &networking.EnvoyFilter_ListenerMatch{
					FilterChain: &networking.EnvoyFilter_ListenerMatch_FilterChainMatch{Filter: chain},
				}},
			},
			Patch: &networking.EnvoyFilter_Patch{Operation: band.operation, Value: reference},
		})
	}
	return ef, nil
}

// discovered is the filter as an ECDS resource of that name, which the agent converts.
func (p *Plugin) discovered(name string) (*wasmfilterv3.Wasm, error) {
	filter, err := p.HTTPFilter(p.remoteCode())
	if err != nil {
		return nil, err
	}
	if filter.Config.Configuration.GetTypeUrl() == "" {
		filter.Config.Configuration = nil // Istio refuses a message of no type in an EnvoyFilter
	}
	filter.Config.Name = name
	// Envoy shares a VM, its environment and its restriction among plugins of equal code and vm_id.
	filter.Config.GetVmConfig().VmId = name
	return filter, nil
}

// withResource is an EnvoyFilter for the workloads of the plugin, with that filter as its one patch: a resource, by the filter's name.
func (p *Plugin) withResource(filter *wasmfilterv3.Wasm) (*networking.EnvoyFilter, error) {
	resource, err := structOf(&corev3.TypedExtensionConfig{Name: filter.Config.Name, TypedConfig: must(filter)})
	if err != nil {
		return nil, err
	}
	ef := &networking.EnvoyFilter{
		TargetRefs: p.Spec.TargetRefs,
		ConfigPatches: []*networking.EnvoyFilter_EnvoyConfigObjectPatch{{
			ApplyTo: networking.EnvoyFilter_EXTENSION_CONFIG,
			Patch:   &networking.EnvoyFilter_Patch{Operation: networking.EnvoyFilter_Patch_ADD, Value: resource},
		}},
	}
	if p.Spec.TargetRef != nil {
		ef.TargetRefs = []*typev1beta1.PolicyTargetReference{p.Spec.TargetRef}
	}
	if labels := p.Spec.Selector.GetMatchLabels(); len(labels) > 0 {
		ef.WorkloadSelector = &networking.WorkloadSelector{Labels: labels}
	}
	return ef, nil
}

// reference is the HTTP filter that stands for a resource in the chain.
func reference(name string) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{ConfigDiscovery: discovery()}}
}

// discovery makes Envoy ask istiod, and wait for the answer.
func discovery() *corev3.ExtensionConfigSource {
	return &corev3.ExtensionConfigSource{
		ConfigSource: &corev3.ConfigSource{
			ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
			InitialFetchTimeout:   &durationpb.Duration{},
			ResourceApiVersion:    corev3.ApiVersion_V3,
		},
		TypeUrls: []string{wasmType, rbacType},
	}
}

// must is for messages that are made here, none of which fails to marshal.
func must(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		panic(err)
	}
	return a
}

// remoteCode is how istiod names the image to the agent. Envoy never sees it.
func (p *Plugin) remoteCode() *corev3.AsyncDataSource {
	_, digest, _ := strings.Cut(p.Spec.Url, "@sha256:")
	return &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Remote{Remote: &corev3.RemoteDataSource{
		HttpUri: &corev3.HttpUri{
			Uri:              p.Spec.Url,
			Timeout:          durationpb.New(fetchTimeout),
			HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: "_"},
		},
		Sha256: digest,
	}}}
}

// patchContexts are the listeners that match chooses. A gateway's listeners count as those of a client.
func (p *Plugin) patchContexts() []networking.EnvoyFilter_PatchContext {
	server, client := len(p.Spec.Match) == 0, len(p.Spec.Match) == 0
	for _, m := range p.Spec.Match {
		server = server || m.Mode != typev1beta1.WorkloadMode_CLIENT
		client = client || m.Mode != typev1beta1.WorkloadMode_SERVER
	}
	switch {
	case server && client:
		return []networking.EnvoyFilter_PatchContext{networking.EnvoyFilter_ANY}
	case server:
		return []networking.EnvoyFilter_PatchContext{networking.EnvoyFilter_SIDECAR_INBOUND}
	}
	return []networking.EnvoyFilter_PatchContext{networking.EnvoyFilter_SIDECAR_OUTBOUND, networking.EnvoyFilter_GATEWAY}
}

// specOf is a message as the JSON of an object has it.
func specOf(m proto.Message) (map[string]any, error) {
	data, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var spec map[string]any
	return spec, utiljson.Unmarshal(data, &spec)
}

// structOf is a message as istio.io/api wants a patch: in proto's own field names, as Envoy's documentation has them.
func structOf(m proto.Message) (*structpb.Struct, error) {
	data, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	s := &structpb.Struct{}
	return s, protojson.Unmarshal(data, s)
}

// fromEnvoyFilter is the way back from what EnvoyFilter makes, for who reads rendered manifests; nil for any other EnvoyFilter.
// Filter is the filter as it was rendered, with its restriction.
func fromEnvoyFilter(ef *networking.EnvoyFilter) (*extensions.WasmPlugin, *wasmfilterv3.Wasm, error) {
	var filter *wasmfilterv3.Wasm
	w := &extensions.WasmPlugin{TargetRefs: ef.TargetRefs}
	for _, patch := range ef.ConfigPatches {
		switch patch.ApplyTo {
		case networking.EnvoyFilter_EXTENSION_CONFIG:
			config := patch.Patch.GetValue().GetFields()["typed_config"].GetStructValue()
			if filter != nil || config.GetFields()["@type"].GetStringValue() != wasmType {
				return nil, nil, nil
			}
			var err error
			if filter, err = wasmOf(config); err != nil {
				return nil, nil, err
			}
		case networking.EnvoyFilter_HTTP_FILTER:
			found := false
			for phase, band := range bands {
				if p := (ef.Priority - band.middle) * band.sign; p >= -maxEnvoyFilterPriority && p <= maxEnvoyFilterPriority && patch.Patch.GetOperation() == band.operation {
					w.Phase, w.Priority, found = phase, wrapperspb.Int32(p), true
				}
			}
			if !found {
				return nil, nil, nil
			}
			if mode, ok := modes[patch.GetMatch().GetContext()]; ok {
				w.Match = []*extensions.WasmPlugin_TrafficSelector{{Mode: mode}}
			}
		}
	}
	remote := filter.GetConfig().GetVmConfig().GetCode().GetRemote()
	if w.Priority == nil || remote == nil {
		return nil, nil, nil
	}
	w.Url = remote.HttpUri.GetUri()
	w.PluginName = filter.Config.RootId
	for strategy, policy := range failurePolicies {
		if policy == filter.Config.FailurePolicy {
			w.FailStrategy = strategy
		}
	}
	if labels := ef.WorkloadSelector.GetLabels(); len(labels) > 0 {
		w.Selector = &typev1beta1.WorkloadSelector{MatchLabels: labels}
	}
	if vars := filter.Config.GetVmConfig().GetEnvironmentVariables(); vars != nil {
		w.VmConfig = &extensions.VmConfig{}
		for name, value := range vars.KeyValues {
			w.VmConfig.Env = append(w.VmConfig.Env, &extensions.EnvVar{Name: name, Value: value})
		}
		for _, name := range vars.HostEnvKeys {
			w.VmConfig.Env = append(w.VmConfig.Env, &extensions.EnvVar{Name: name, ValueFrom: extensions.EnvValueSource_HOST})
		}
	}
	var err error
	w.PluginConfig, err = pluginConfigOf(filter)
	return w, filter, err
}

// wasmOf is the filter of a patch's value.
func wasmOf(config *structpb.Struct) (*wasmfilterv3.Wasm, error) {
	data, err := config.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var typed anypb.Any
	if err := protojson.Unmarshal(data, &typed); err != nil {
		return nil, err
	}
	filter := &wasmfilterv3.Wasm{}
	return filter, typed.UnmarshalTo(filter)
}

// pluginConfigOf is the pluginConfig that a filter was made from; nil when it has none.
func pluginConfigOf(filter *wasmfilterv3.Wasm) (*structpb.Struct, error) {
	if filter.Config.Configuration.GetTypeUrl() == "" {
		return nil, nil
	}
	var text wrapperspb.StringValue
	if err := filter.Config.Configuration.UnmarshalTo(&text); err != nil {
		return nil, err
	}
	config := &structpb.Struct{}
	return config, protojson.Unmarshal([]byte(text.Value), config)
}

// modes are the workload modes of the contexts that EnvoyFilter writes.
var modes = map[networking.EnvoyFilter_PatchContext]typev1beta1.WorkloadMode{
	networking.EnvoyFilter_SIDECAR_INBOUND:  typev1beta1.WorkloadMode_SERVER,
	networking.EnvoyFilter_SIDECAR_OUTBOUND: typev1beta1.WorkloadMode_CLIENT,
	networking.EnvoyFilter_GATEWAY:          typev1beta1.WorkloadMode_CLIENT,
}
