package selection

import (
	"maps"
	"slices"
	"strings"
)

// Environment is what of an environment decides a selection.
type Environment struct {
	RootNamespace string
	Waypoints     []string // Gateways that are waypoints, as namespace/name
	Said          bool     // Waypoints are all of them: any other Gateway is a gateway
}

// Waypoint says whether a Gateway is a waypoint, and whether that is known.
func (e Environment) Waypoint(namespace, name string) (waypoint, known bool) {
	return slices.Contains(e.Waypoints, namespace+"/"+name), e.Said
}

// Proxies are those that could exist and that the plugins could share: for each kind of proxy one that has all the labels that the
// plugins ask for. None, when no proxy can have them.
func (e Environment) Proxies(plugins ...Plugin) (proxies []Proxy) {
	labels, possible := allLabels(plugins)
	namespaces, gateways, services := []string{}, []string{}, []Service{}
	for _, p := range plugins {
		if p.Namespace != e.RootNamespace {
			namespaces = append(namespaces, p.Namespace)
		}
		for _, ref := range p.Refs {
			switch target := TargetOf(ref); target {
			case Targets[0], Targets[1]:
				services = append(services, Service{p.Namespace, ref.GetName(), target == Targets[1]})
			case Targets[2]:
				gateways = append(gateways, ref.GetName())
			}
		}
	}
	if len(namespaces) == 0 {
		namespaces = []string{e.RootNamespace, "any-namespace"}
	}
	slices.Sort(namespaces)
	slices.Sort(gateways)
	if name, ok := labels[GatewayName]; ok {
		gateways = []string{name}
	} else if possible {
		gateways = append(gateways, "any-gateway")
	}
	for _, namespace := range slices.Compact(namespaces) {
		if _, ok := labels[GatewayName]; possible && !ok {
			if !classicGateway(labels) {
				proxies = append(proxies, Proxy{Namespace: namespace, Labels: labels})
			}
			proxies = append(proxies, Proxy{Namespace: namespace, Labels: labels, Router: true})
		}
		for _, gateway := range slices.Compact(gateways) {
			named := maps.Clone(labels)
			if named == nil {
				named = map[string]string{}
			}
			named[GatewayName] = gateway
			waypoint, known := e.Waypoint(namespace, gateway)
			if gateway == "any-gateway" {
				known = false
			}
			if waypoint || !known {
				proxies = append(proxies, Proxy{Namespace: namespace, Labels: named, Router: true, Waypoint: true, Services: services})
			}
			if !waypoint {
				proxies = append(proxies, Proxy{Namespace: namespace, Labels: named, Router: true})
			}
		}
	}
	return proxies
}

// allLabels are the labels of all selectors; impossible when two want different values.
func allLabels(plugins []Plugin) (labels map[string]string, possible bool) {
	labels = map[string]string{}
	for _, p := range plugins {
		for name, value := range p.Labels {
			if other, ok := labels[name]; ok && other != value {
				return map[string]string{}, false
			}
			labels[name] = value
		}
	}
	return labels, true
}

// classicGateway reports whether labels are such as gateways have that were installed by Istio's charts, or in their manner: by the
// API alone a selector does not say what it chooses.
func classicGateway(labels map[string]string) bool {
	for _, name := range []string{"istio", "app"} {
		if strings.Contains(labels[name], "gateway") {
			return true
		}
	}
	return false
}

// ForGateway reports whether the selector's labels are those of a gateway.
func (p Plugin) ForGateway() bool { return classicGateway(p.Labels) }

// listeners are those of the proxy that could tell the plugins apart.
func (proxy Proxy) listeners(plugins ...Plugin) (all []Listener) {
	if proxy.Waypoint {
		for i := range proxy.Services {
			all = append(all, Listener{Server: true, Service: &proxy.Services[i]})
		}
		return append(all, Listener{Server: true})
	}
	ports := []int{0}
	for _, p := range plugins {
		for _, m := range p.Match {
			for _, port := range m.GetPorts() {
				ports = append(ports, int(port.GetNumber()))
			}
		}
	}
	for _, port := range ports {
		all = append(all, Listener{Port: port})
		if !proxy.Router {
			all = append(all, Listener{Server: true, Port: port})
		}
	}
	return all
}

// MayRun reports whether there can be a proxy whose chain has the plugin.
func (e Environment) MayRun(p Plugin) bool { return e.MayMeet(p) }

// MayMeet reports whether there can be one filter chain that has all the plugins.
func (e Environment) MayMeet(plugins ...Plugin) bool {
	return slices.ContainsFunc(e.Proxies(plugins...), func(proxy Proxy) bool {
		return slices.ContainsFunc(proxy.listeners(plugins...), func(l Listener) bool {
			return !slices.ContainsFunc(plugins, func(p Plugin) bool { return !p.Runs(proxy, l, e.RootNamespace) })
		})
	})
}

// MayShare reports whether there can be one proxy that has all the plugins, in whatever listeners.
func (e Environment) MayShare(plugins ...Plugin) bool {
	return slices.ContainsFunc(e.Proxies(plugins...), func(proxy Proxy) bool {
		return !slices.ContainsFunc(plugins, func(p Plugin) bool {
			return !slices.ContainsFunc(proxy.listeners(plugins...), func(l Listener) bool { return p.Runs(proxy, l, e.RootNamespace) })
		})
	})
}
