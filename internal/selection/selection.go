// Package selection is which proxies Istio gives a plugin to, and which of their listeners run it. It follows istiod's
// pilot/pkg/model/policyattachment.go and extensions.go of Istio 1.31; test/e2e/istio holds it against that code.
package selection

import (
	"fmt"
	"slices"
	"strings"

	extensions "istio.io/api/extensions/v1alpha1"
	typev1beta1 "istio.io/api/type/v1beta1"
)

// What a targetRef may name, by group and kind. An empty group is the core one.
const (
	GatewayGroup      = "gateway.networking.k8s.io"
	ServiceEntryGroup = "networking.istio.io"

	// WaypointClass is the only GatewayClass that attaches anything.
	WaypointClass = "istio-waypoint"

	// GatewayName is the label that Istio puts on the pods of the gateways and waypoints that it makes from the Gateway API.
	GatewayName = "gateway.networking.k8s.io/gateway-name"
)

// Target is a kind that a targetRef may name.
type Target struct{ Group, Kind string }

// Targets are all of them, as Istio's webhook has them.
var Targets = []Target{{"", "Service"}, {ServiceEntryGroup, "ServiceEntry"}, {GatewayGroup, "Gateway"}, {GatewayGroup, "GatewayClass"}}

// TargetOf is the group and kind of a reference.
func TargetOf(ref *typev1beta1.PolicyTargetReference) Target {
	t := Target{ref.GetGroup(), ref.GetKind()}
	if t.Group == "core" {
		t.Group = ""
	}
	return t
}

// Invalid is what Istio's webhook refuses in a targetRef; empty when it takes it.
func Invalid(ref *typev1beta1.PolicyTargetReference) string {
	target := TargetOf(ref)
	switch {
	case ref.GetName() == "":
		return "no name: Istio refuses it. name the object"
	case ref.GetNamespace() != "":
		return "a namespace: Istio refuses it, a plugin attaches to objects of its own namespace. remove it"
	case slices.Contains(Targets, target):
		return ""
	}
	var kinds []string
	for _, t := range Targets {
		if t.Kind == target.Kind {
			return fmt.Sprintf("kind %s of group %q: Istio refuses it. write group: %q", target.Kind, target.Group, t.Group)
		}
		kinds = append(kinds, t.Kind)
	}
	return fmt.Sprintf("kind %s: Istio attaches plugins to %s", target.Kind, strings.Join(kinds, ", "))
}

// Plugin is what decides the selection of one object.
type Plugin struct {
	Namespace string
	Labels    map[string]string // of the selector; nil or empty chooses every workload
	Refs      []*typev1beta1.PolicyTargetReference
	Match     []*extensions.WasmPlugin_TrafficSelector
}

// Of is the selection of an object, by its namespace and its spec.
func Of(namespace string, spec *extensions.WasmPlugin) Plugin {
	p := Plugin{Namespace: namespace, Labels: spec.GetSelector().GetMatchLabels(), Refs: spec.GetTargetRefs(), Match: spec.GetMatch()}
	if len(p.Refs) == 0 && spec.GetTargetRef() != nil {
		p.Refs = []*typev1beta1.PolicyTargetReference{spec.GetTargetRef()}
	}
	return p
}

// Proxy is what of a proxy decides what it gets.
type Proxy struct {
	Namespace string
	Labels    map[string]string
	Router    bool // a gateway, made by hand or from the Gateway API, or a waypoint; otherwise a sidecar
	Waypoint  bool
	Services  []Service // that a waypoint serves
}

// Service is a Service, or with Entry a ServiceEntry.
type Service struct {
	Namespace, Name string
	Entry           bool
}

// Listener is one of a proxy's listeners. A waypoint has one for each service, without a port, and it counts as a server's.
type Listener struct {
	Server  bool // inbound of a sidecar, or a waypoint's; otherwise outbound of a sidecar, or a gateway's
	Port    int
	Service *Service
}

// Attached reports whether istiod gives the plugin to the proxy, whatever its listeners.
func (p Plugin) Attached(proxy Proxy, rootNamespace string) bool {
	namespaces := []string{proxy.Namespace, rootNamespace}
	for _, s := range proxy.Services {
		namespaces = append(namespaces, s.Namespace)
	}
	if !slices.Contains(namespaces, p.Namespace) {
		return false
	}
	gateway, fromGatewayAPI := proxy.Labels[GatewayName]
	if !fromGatewayAPI {
		return len(p.Refs) == 0 && p.selects(proxy)
	}
	if len(p.Refs) == 0 {
		return !proxy.Waypoint && p.selects(proxy)
	}
	for _, ref := range p.Refs {
		switch target := TargetOf(ref); {
		case proxy.Waypoint && (target == Targets[0] || target == Targets[1]) &&
			slices.Contains(proxy.Services, Service{p.Namespace, ref.GetName(), target == Targets[1]}):
			return true
		case proxy.Waypoint && target == Targets[3] && p.Namespace == rootNamespace && ref.GetName() == WaypointClass:
			return true
		case target == Targets[2] && p.Namespace == proxy.Namespace && ref.GetName() == gateway &&
			(ref.GetNamespace() == "" || ref.GetNamespace() == proxy.Namespace):
			return true
		}
	}
	return false
}

// selects reports whether the labels of the selector are among the proxy's.
func (p Plugin) selects(proxy Proxy) bool {
	for name, value := range p.Labels {
		if got, ok := proxy.Labels[name]; !ok || got != value {
			return false
		}
	}
	return true
}

// Runs reports whether the plugin is in the listener's filter chain.
func (p Plugin) Runs(proxy Proxy, listener Listener, rootNamespace string) bool {
	proxy.Services = nil
	if listener.Service != nil {
		proxy.Services = []Service{*listener.Service}
	}
	return p.Attached(proxy, rootNamespace) && p.matches(listener)
}

// MayRun reports whether the plugin is in a filter chain of the proxy, if that has a listener with a port that the plugin wants.
func (p Plugin) MayRun(proxy Proxy, rootNamespace string) bool {
	if !p.Attached(proxy, rootNamespace) {
		return false
	}
	servers := []bool{true, false}
	if proxy.Router {
		servers = []bool{proxy.Waypoint}
	}
	return len(p.Match) == 0 || slices.ContainsFunc(p.Match, func(m *extensions.WasmPlugin_TrafficSelector) bool {
		return slices.ContainsFunc(servers, func(server bool) bool { return inMode(m, server) })
	})
}

func inMode(m *extensions.WasmPlugin_TrafficSelector, server bool) bool {
	return m.GetMode() == typev1beta1.WorkloadMode_UNDEFINED || m.GetMode() == typev1beta1.WorkloadMode_CLIENT_AND_SERVER ||
		(m.GetMode() == typev1beta1.WorkloadMode_SERVER) == server
}

func (p Plugin) matches(listener Listener) bool {
	if len(p.Match) == 0 {
		return true
	}
	return slices.ContainsFunc(p.Match, func(m *extensions.WasmPlugin_TrafficSelector) bool {
		return inMode(m, listener.Server) && (len(m.GetPorts()) == 0 || slices.ContainsFunc(m.GetPorts(), func(port *typev1beta1.PortSelector) bool {
			return port.GetNumber() != 0 && port.GetNumber() == uint32(listener.Port)
		}))
	})
}
