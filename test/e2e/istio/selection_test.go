package istio

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	extensions "istio.io/api/extensions/v1alpha1"
	typev1beta1 "istio.io/api/type/v1beta1"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pilot/pkg/networking"
	"istio.io/istio/pilot/pkg/serviceregistry/provider"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/gvk"

	"github.com/wasmfleet/wasmfleet/internal/selection"
)

const rootNamespace = "mesh"

// Who gets a plugin and which listener runs it is what Istio's own matcher says, over the product of what a plugin can ask for and
// what a proxy can be. Only the code of one minor is served as a module; in older ones a waypoint of another namespace than its
// service differs (istio#59337, from 1.30.3 on as here).
func TestSelectionIsIstios(t *testing.T) {
	compared, ran := 0, 0
	for _, p := range selectedPlugins() {
		te := &model.TrafficExtensionWrapper{TrafficExtension: trafficExtension(p), Name: "demo", Namespace: p.Namespace}
		for _, proxy := range selectedProxies() {
			for _, l := range selectedListeners(proxy) {
				want := istioRuns(te, proxy, l)
				require.Equal(t, want, p.Runs(proxy, l, rootNamespace), "%+v\n%+v\n%+v", p, proxy, l)
				compared++
				if want {
					ran++
				}
			}
		}
	}
	t.Logf("%d combinations, of which %d run", compared, ran)
	require.Greater(t, compared, 2000)
	require.Greater(t, ran, 200)
}

func istioRuns(te *model.TrafficExtensionWrapper, proxy selection.Proxy, l selection.Listener) bool {
	info := model.ListenerInfo{Port: l.Port, Class: networking.ListenerClassSidecarOutbound}
	if l.Server {
		info.Class = networking.ListenerClassSidecarInbound
	} else if proxy.Router {
		info.Class = networking.ListenerClassGateway
	}
	namespaces := []string{proxy.Namespace, rootNamespace}
	if s := l.Service; s != nil {
		registry := provider.Kubernetes
		if s.Entry {
			registry = provider.External
		}
		info = info.WithService(&model.Service{Attributes: model.ServiceAttributes{Name: s.Name, Namespace: s.Namespace, ServiceRegistry: registry}})
		namespaces = append(namespaces, s.Namespace)
	}
	matcher := model.PolicyMatcherFor(proxy.Namespace, proxy.Labels, proxy.Waypoint).WithServices(info.Services).WithRootNamespace(rootNamespace)
	return slices.Contains(namespaces, te.Namespace) && te.MatchListener(matcher, info)
}

func trafficExtension(p selection.Plugin) *extensions.TrafficExtension {
	te := &extensions.TrafficExtension{TargetRefs: p.Refs}
	if p.Labels != nil {
		te.Selector = &typev1beta1.WorkloadSelector{MatchLabels: p.Labels}
	}
	for _, m := range p.Match {
		te.Match = append(te.Match, &extensions.TrafficSelector{Mode: m.Mode, Ports: m.Ports})
	}
	return te
}

func selectedPlugins() (all []selection.Plugin) {
	labels := []map[string]string{nil, {}, {"app": "web"}, {"app": "other"}, {selection.GatewayName: "public"}, {selection.GatewayName: "waypoint", "app": "web"}}
	var refs [][]*typev1beta1.PolicyTargetReference
	for _, r := range targetRefs() {
		refs = append(refs, []*typev1beta1.PolicyTargetReference{r})
	}
	refs = append(refs, []*typev1beta1.PolicyTargetReference{targetRefs()[0], targetRefs()[len(targetRefs())-1]})
	var matches [][]*extensions.WasmPlugin_TrafficSelector
	port := []*typev1beta1.PortSelector{{Number: 8080}}
	for _, mode := range []typev1beta1.WorkloadMode{0, 1, 2, 3} {
		matches = append(matches, []*extensions.WasmPlugin_TrafficSelector{{Mode: mode}}, []*extensions.WasmPlugin_TrafficSelector{{Mode: mode, Ports: port}})
	}
	matches = append(matches, nil, []*extensions.WasmPlugin_TrafficSelector{{Mode: typev1beta1.WorkloadMode_CLIENT, Ports: port}, {Mode: typev1beta1.WorkloadMode_SERVER}})
	for _, namespace := range []string{"web", "other", rootNamespace} {
		for _, match := range matches {
			for _, l := range labels {
				all = append(all, selection.Plugin{Namespace: namespace, Labels: l, Match: match})
			}
			for _, r := range refs {
				all = append(all, selection.Plugin{Namespace: namespace, Refs: r, Match: match})
			}
		}
	}
	return all
}

func targetRefs() (all []*typev1beta1.PolicyTargetReference) {
	for _, kind := range []string{"Gateway", "GatewayClass", "Service", "ServiceEntry", "Deployment"} {
		for _, group := range []string{"", "core", "gateway.networking.k8s.io", "networking.istio.io", "apps"} {
			for _, name := range []string{"public", "waypoint", "istio-waypoint", "reviews"} {
				all = append(all, &typev1beta1.PolicyTargetReference{Group: group, Kind: kind, Name: name})
			}
		}
	}
	return append(all, &typev1beta1.PolicyTargetReference{Group: "gateway.networking.k8s.io", Kind: "Gateway", Name: "public", Namespace: "web"})
}

func selectedProxies() (all []selection.Proxy) {
	services := []selection.Service{{Namespace: "web", Name: "reviews"}, {Namespace: "other", Name: "reviews", Entry: true}}
	for _, namespace := range []string{"web", rootNamespace} {
		all = append(all,
			selection.Proxy{Namespace: namespace, Labels: map[string]string{"app": "web", "version": "v1"}},
			selection.Proxy{Namespace: namespace, Labels: map[string]string{"app": "web"}, Router: true},
			selection.Proxy{Namespace: namespace, Labels: map[string]string{"app": "web", selection.GatewayName: "public"}, Router: true},
			selection.Proxy{Namespace: namespace, Labels: map[string]string{"app": "web", selection.GatewayName: "waypoint"}, Router: true, Waypoint: true, Services: services},
		)
	}
	return all
}

func selectedListeners(proxy selection.Proxy) []selection.Listener {
	if proxy.Waypoint {
		return []selection.Listener{{Server: true}, {Server: true, Service: &proxy.Services[0]}, {Server: true, Service: &proxy.Services[1]}}
	}
	if proxy.Router {
		return []selection.Listener{{Port: 8080}, {Port: 80}}
	}
	return []selection.Listener{{Port: 8080}, {Port: 80}, {Server: true, Port: 8080}, {Server: true, Port: 80}}
}

// What the webhook refuses in a targetRef is what the rule says it refuses.
func TestInvalidTargetsAreIstios(t *testing.T) {
	schema, ok := collections.Pilot.FindByGroupVersionKind(gvk.TrafficExtension)
	require.True(t, ok)
	refs := append(targetRefs(), &typev1beta1.PolicyTargetReference{Group: "gateway.networking.k8s.io", Kind: "Gateway"})
	for _, ref := range refs {
		_, err := schema.ValidateConfig(config.Config{Meta: config.Meta{GroupVersionKind: gvk.TrafficExtension, Name: "demo", Namespace: "web"}, Spec: &extensions.TrafficExtension{
			TargetRefs:   []*typev1beta1.PolicyTargetReference{ref},
			FilterConfig: &extensions.TrafficExtension_Wasm{Wasm: &extensions.WasmConfig{Url: "oci://ghcr.io/team/demo:v1"}},
		}})
		require.Equal(t, err != nil, selection.Invalid(ref) != "", fmt.Sprint(ref, err))
	}
}
