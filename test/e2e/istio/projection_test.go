package istio

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	extensions "istio.io/api/extensions/v1alpha1"
	typev1beta1 "istio.io/api/type/v1beta1"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/wasm"

	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// translated is what istiod 1.31 adds to the name of a WasmPlugin, of which it first makes a TrafficExtension.
const translated = "~istio-translated-wasmplugin"

// pluginID is the plugin of a filter, in our words.
func pluginID(w *wasmfilterv3.Wasm) string { return strings.TrimSuffix(w.Config.Name, translated) }

// differences between what we configure and what istiod and the agent make of the same object, each with its reason. remove takes
// one out.
var differences = []struct {
	reason string
	remove func(istios *wasmfilterv3.Wasm)
}{
	{"istiod sends environment variables for the agent, which takes them out and leaves the message, empty: to Envoy the same as none",
		func(w *wasmfilterv3.Wasm) {
			if v := w.Config.GetVmConfig().EnvironmentVariables; v != nil && len(v.KeyValues) == 0 && len(v.HostEnvKeys) == 0 {
				w.Config.GetVmConfig().EnvironmentVariables = nil
			}
		}},
	{"the name, which is in Envoy's log and statistics, has a suffix in Istio 1.30 and later; ours is that of every version",
		func(w *wasmfilterv3.Wasm) { w.Config.Name = pluginID(w) }},
}

// sameFilter wants every field equal, but for the differences.
func sameFilter(t *testing.T, ours, istios *wasmfilterv3.Wasm) {
	t.Helper()
	istios = proto.CloneOf(istios)
	for _, d := range differences {
		d.remove(istios)
	}
	require.Empty(t, cmp.Diff(ours, istios, protocmp.Transform()), "%s: - ours, + Istio's", pluginID(istios))
}

// Whatever a WasmPlugin says, what we configure, in a local run and as the two other APIs, is what istiod sends: each field of each
// filter, and which filters are in which chain in which order.
func TestProjectionIsIstiods(t *testing.T) {
	ref := pushModule(t, serve(t, nil), "addheader", "v1", modules(t)["addheader"])
	cache := wasm.NewLocalFileCache(t.TempDir(), wasm.Options{HTTPRequestMaxRetries: 5})
	t.Cleanup(cache.Cleanup)
	const seeds, each = 12, 60
	inEnvoyFilter := 0
	defer func() { require.Greater(t, inEnvoyFilter, 50) }()
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			g := generator{rand.New(rand.NewPCG(seed, 0)), ref}
			var objects strings.Builder
			for i := range each {
				name := fmt.Sprintf("p%02d", i)
				fmt.Fprintf(&objects, "---\n%s\n", object(t, "extensions.istio.io/v1alpha1", "WasmPlugin", name, g.plugin()))
			}
			plugins, err := plugin.Plugins(map[string][]byte{"generated.yaml": []byte(objects.String())})
			require.NoError(t, err)
			require.Len(t, plugins, each)

			wasmPlugins := inIstio(t, cache, objects.String())
			inChains := map[string]bool{}
			for listener, chain := range wasmPlugins.chains {
				require.True(t, slices.IsSortedFunc(chain, func(a, b string) int { return slices.IndexFunc(plugins, is(a)) - slices.IndexFunc(plugins, is(b)) }),
					"%s: Istio runs %v", listener, chain)
				for _, id := range chain {
					inChains[id] = true
				}
			}
			require.Greater(t, len(inChains), each/3)
			for _, p := range plugins {
				if istios := wasmPlugins.filters[p.ID()]; inChains[p.ID()] {
					require.NotNil(t, istios, p.ID())
					ours, err := p.HTTPFilter(istios.Config.GetVmConfig().Code)
					require.NoError(t, err)
					sameFilter(t, ours, istios)
				}
			}
			sameAsTrafficExtension(t, cache, plugins, wasmPlugins)
			inEnvoyFilter += sameAsEnvoyFilter(t, cache, plugins)
		})
	}
}

func is(id string) func(*plugin.Plugin) bool {
	return func(p *plugin.Plugin) bool { return p.ID() == id }
}

// inAPI is the plugin as an object of another API.
func inAPI(t *testing.T, api *plugin.API, p *plugin.Plugin) []byte {
	t.Helper()
	written := object(t, plugin.WasmPlugin.APIVersion, plugin.WasmPlugin.Kind, p.Name, &p.Spec)
	o, err := api.Object(p, plugin.Facts{}, []byte(written))
	require.NoError(t, err)
	return o
}

func sameAsTrafficExtension(t *testing.T, cache wasm.Cache, plugins []*plugin.Plugin, want sent) {
	t.Helper()
	var objects strings.Builder
	for _, p := range plugins {
		fmt.Fprintf(&objects, "---\n%s\n", inAPI(t, plugin.TrafficExtension, p))
	}
	got := inIstio(t, cache, objects.String())
	require.Equal(t, want.chains, got.chains)
	for id, w := range want.filters {
		w = proto.CloneOf(w)
		w.Config.Name = pluginID(w)
		require.Empty(t, cmp.Diff(w, got.filters[id], protocmp.Transform()), "%s: - as a WasmPlugin, + as a TrafficExtension", id)
	}
}

// lostInEnvoyFilter are the differences of that API that its API does not name, because a rule of render refuses the plugin.
// kept are the plugins before it.
var lostInEnvoyFilter = []struct {
	reason string
	lost   func(w *extensions.WasmPlugin, kept []*extensions.WasmPlugin) bool
}{
	{"plugins of one priority run by name, but in AUTHN, where each is put before those of lower name: rule order wants no two",
		func(w *extensions.WasmPlugin, kept []*extensions.WasmPlugin) bool {
			return w.Phase == extensions.PluginPhase_AUTHN && slices.ContainsFunc(kept, func(k *extensions.WasmPlugin) bool {
				return k.Phase == w.Phase && k.Priority.GetValue() == w.Priority.GetValue()
			})
		}},
	{"istiod puts an unset priority after all others, an EnvoyFilter's is a number: rule explicit-priority wants one",
		func(w *extensions.WasmPlugin, _ []*extensions.WasmPlugin) bool { return w.Priority == nil }},
	{"istiod takes a url without scheme for one of oci://, an EnvoyFilter goes to the agent as it is: rule url wants the scheme",
		func(w *extensions.WasmPlugin, _ []*extensions.WasmPlugin) bool {
			return !strings.HasPrefix(w.Url, "oci://")
		}},
	{"a digest only in sha256 is not taken over: rule digest wants it in the url",
		func(w *extensions.WasmPlugin, _ []*extensions.WasmPlugin) bool {
			return !strings.Contains(w.Url, "@sha256:")
		}},
}

func sameAsEnvoyFilter(t *testing.T, cache wasm.Cache, plugins []*plugin.Plugin) int {
	t.Helper()
	var kept []*extensions.WasmPlugin
	var wasmPlugins, envoyFilters strings.Builder
next:
	for _, p := range plugins {
		if len(plugin.EnvoyFilter.Lost(&p.Spec)) > 0 {
			continue
		}
		for _, l := range lostInEnvoyFilter {
			if l.lost(&p.Spec, kept) {
				continue next
			}
		}
		fmt.Fprintf(&wasmPlugins, "---\n%s\n", object(t, "extensions.istio.io/v1alpha1", "WasmPlugin", p.Name, &p.Spec))
		fmt.Fprintf(&envoyFilters, "---\n%s\n", inAPI(t, plugin.EnvoyFilter, p))
		kept = append(kept, &p.Spec)
	}
	want, got := inIstio(t, cache, wasmPlugins.String()), inIstio(t, cache, envoyFilters.String())
	require.Equal(t, want.chains, got.chains, "as WasmPlugins, as EnvoyFilters")
	for id, istios := range want.filters {
		ef := proto.CloneOf(got.filters[id])
		require.Equal(t, id, ef.Config.GetVmConfig().VmId, "a VM of its own")
		ef.Config.GetVmConfig().VmId = ""
		if ef.Config.Configuration == nil { // to Envoy the same as a message of no type, which Istio refuses in an EnvoyFilter
			ef.Config.Configuration = &anypb.Any{}
		}
		sameFilter(t, ef, istios)
	}
	return len(kept)
}

// sent is what istiod has for a sidecar and a gateway.
type sent struct {
	chains  map[string][]string // ids of plugins by proxy and port
	filters map[string]*wasmfilterv3.Wasm
}

const pullSecret = "kubernetes://apps/pull"

// inIstio gives the objects to an istiod and takes what its agent would give to Envoy.
func inIstio(t *testing.T, cache wasm.Cache, objects string) sent {
	t.Helper()
	s := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{ConfigString: objects + `
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web, namespace: apps}
spec:
  workloadSelector: {labels: {app: web}}
  ingress:
  - {port: {number: 8080, protocol: HTTP, name: a}, bind: 127.0.0.1, captureMode: NONE, defaultEndpoint: "127.0.0.1:1080"}
  - {port: {number: 8081, protocol: HTTP, name: b}, bind: 127.0.0.1, captureMode: NONE, defaultEndpoint: "127.0.0.1:1081"}
  egress:
  - {port: {number: 9080, protocol: HTTP, name: a}, bind: 127.0.0.1, captureMode: NONE, hosts: ["./*"]}
  - {port: {number: 9081, protocol: HTTP, name: b}, bind: 127.0.0.1, captureMode: NONE, hosts: ["./*"]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: backend, namespace: apps}
spec:
  hosts: [backend.internal]
  resolution: STATIC
  ports: [{number: 9080, name: a, protocol: HTTP}, {number: 9081, name: b, protocol: HTTP}]
  endpoints: [{address: 10.0.0.9}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gateway, namespace: apps}
spec:
  selector: {app: gateway}
  servers:
  - {port: {number: 8080, name: a, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 8081, name: b, protocol: HTTP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: routes, namespace: apps}
spec: {hosts: ["*"], gateways: [gateway], http: [{directResponse: {status: 200}}]}
`})
	result := sent{map[string][]string{}, map[string]*wasmfilterv3.Wasm{}}
	for i, proxy := range []*model.Proxy{
		{Type: model.SidecarProxy, Labels: map[string]string{"app": "web"}},
		{Type: model.Router, Labels: map[string]string{"app": "gateway", "gateway.networking.k8s.io/gateway-name": "gateway"}},
	} {
		proxy.ConfigNamespace = "apps"
		proxy.IPAddresses = []string{fmt.Sprintf("10.0.0.%d", i+1)}
		proxy.Metadata = &model.NodeMetadata{Namespace: "apps", ClusterID: constants.DefaultClusterName, Labels: proxy.Labels}
		proxy = s.SetupProxy(proxy)
		chains := httpChains(s.Listeners(proxy))
		require.NotEmpty(t, chains)
		var names []string
		for _, chain := range chains {
			names = append(names, chain...)
		}
		filters := wasmFilters(t, converted(t, cache, s.ConfigGen.BuildExtensionConfiguration(proxy, s.PushContext(), names,
			map[string][]byte{pullSecret: []byte(`{"auths":{}}`)})))
		for port, chain := range chains {
			var ids []string
			for _, name := range chain {
				if w := filters[name]; w != nil {
					ids = append(ids, pluginID(w))
					result.filters[pluginID(w)] = w
				}
			}
			result.chains[fmt.Sprintf("%s:%d", proxy.Type, port)] = ids
		}
	}
	return result
}

// converted is what the agent passes on.
func converted(t *testing.T, cache wasm.Cache, extensions []*corev3.TypedExtensionConfig) []*corev3.TypedExtensionConfig {
	t.Helper()
	var resources []*anypb.Any
	for _, e := range extensions {
		resource, err := anypb.New(e)
		require.NoError(t, err)
		resources = append(resources, resource)
	}
	require.NoError(t, wasm.MaybeConvertWasmExtensionConfig(resources, cache))
	var all []*corev3.TypedExtensionConfig
	for _, resource := range resources {
		e := &corev3.TypedExtensionConfig{}
		require.NoError(t, resource.UnmarshalTo(e))
		all = append(all, e)
	}
	return all
}

func object(t *testing.T, apiVersion, kind, name string, spec proto.Message) []byte {
	t.Helper()
	data, err := protojson.Marshal(spec)
	require.NoError(t, err)
	o, err := json.Marshal(map[string]any{
		"apiVersion": apiVersion, "kind": kind, "metadata": map[string]string{"name": name, "namespace": "apps"}, "spec": json.RawMessage(data),
	})
	require.NoError(t, err)
	return o
}

// generator makes plugins of every field, the same for the same seed.
type generator struct {
	*rand.Rand
	ref image.Ref
}

func pick[T any](g generator, values ...T) T { return values[g.IntN(len(values))] }

func (g generator) plugin() *extensions.WasmPlugin {
	bare := g.ref
	bare.Tag = ""
	w := &extensions.WasmPlugin{
		Url:             pick(g, "oci://"+g.ref.String(), "oci://"+g.ref.String(), "oci://"+bare.String(), g.ref.String(), "oci://"+g.ref.Repo+":"+g.ref.Tag),
		Sha256:          pick(g, "", strings.TrimPrefix(g.ref.Digest, "sha256:")),
		ImagePullPolicy: extensions.PullPolicy(g.IntN(3)),
		ImagePullSecret: pick(g, "", "", "", "pull"),
		Phase:           extensions.PluginPhase(g.IntN(4)),
		FailStrategy:    extensions.FailStrategy(g.IntN(3)),
		PluginName:      pick(g, "", "addheader", "other name"),
		Type:            pick(g, extensions.PluginType_UNSPECIFIED_PLUGIN_TYPE, extensions.PluginType_HTTP),
		Priority: pick(g, nil, wrapperspb.Int32(0), wrapperspb.Int32(int32(g.IntN(9)-4)), wrapperspb.Int32(int32(g.IntN(9)-4)), wrapperspb.Int32(int32(g.IntN(2000)-1000)),
			wrapperspb.Int32(9_999_999), wrapperspb.Int32(math.MaxInt32), wrapperspb.Int32(math.MinInt32)),
	}
	switch g.IntN(8) {
	case 0: // the whole namespace
	case 1:
		w.TargetRefs = []*typev1beta1.PolicyTargetReference{{Group: "gateway.networking.k8s.io", Kind: "Gateway", Name: pick(g, "gateway", "another")}}
	case 2, 3:
		w.Selector = &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": "gateway"}}
	case 4:
		w.Selector = &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": "nobody"}}
	default:
		w.Selector = &typev1beta1.WorkloadSelector{MatchLabels: map[string]string{"app": "web"}}
	}
	for range pick(g, 0, 1, 1, 1, 2) {
		m := &extensions.WasmPlugin_TrafficSelector{Mode: typev1beta1.WorkloadMode(g.IntN(4))}
		if g.IntN(4) == 0 {
			m.Ports = []*typev1beta1.PortSelector{{Number: pick[uint32](g, 8080, 8081, 9080, 9081, 1)}}
		}
		w.Match = append(w.Match, m)
	}
	if g.IntN(2) == 0 {
		w.VmConfig = &extensions.VmConfig{}
		for i := range g.IntN(4) {
			e := &extensions.EnvVar{Name: fmt.Sprintf("VAR_%d", i)}
			if g.IntN(2) == 0 {
				e.ValueFrom = extensions.EnvValueSource_HOST
			} else {
				e.Value = pick(g, "", "value", "with = and , and \"quotes\"", "é")
			}
			w.VmConfig.Env = append(w.VmConfig.Env, e)
		}
	}
	if g.IntN(5) > 0 {
		w.PluginConfig = g.object(3).GetStructValue()
	}
	return w
}

func (g generator) value(depth int) *structpb.Value {
	switch kind := g.IntN(6); {
	case kind == 0:
		return structpb.NewNullValue()
	case kind == 1:
		return structpb.NewBoolValue(g.IntN(2) == 0)
	case kind == 2:
		return structpb.NewNumberValue(pick(g, 0, 1, -1, 1.5, 1e20, 1e21, 1e-7, 9007199254740993, 0.1, math.MaxFloat64, math.SmallestNonzeroFloat64, g.NormFloat64()))
	case kind == 3 || depth == 0:
		return structpb.NewStringValue(g.text())
	case kind == 4:
		list := &structpb.ListValue{}
		for range g.IntN(4) {
			list.Values = append(list.Values, g.value(depth-1))
		}
		return structpb.NewListValue(list)
	default:
		return g.object(depth - 1)
	}
}

func (g generator) object(depth int) *structpb.Value {
	o := &structpb.Struct{Fields: map[string]*structpb.Value{}}
	for range g.IntN(5) {
		o.Fields[g.text()] = g.value(depth)
	}
	return structpb.NewStructValue(o)
}

func (g generator) text() string {
	var b strings.Builder
	for range g.IntN(6) {
		b.WriteRune(pick(g, 'a', 'B', '0', '"', '\\', '<', '&', '/', ' ', '\n', '\t', '\x00', 'é', '\u2028', '\U0001F600', '\uFFFD'))
	}
	return b.String()
}
