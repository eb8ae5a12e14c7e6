package lint

import (
	"github.com/wasmfleet/wasmfleet/internal/selection"
)

// undecided are the Gateways, as namespace/name, that the plugin names and of which nobody has said whether they are waypoints.
func undecided(env selection.Environment, p selection.Plugin) (gateways []string) {
	names := []string{}
	for _, ref := range p.Refs {
		if ref.GetKind() == "Gateway" {
			names = append(names, ref.GetName())
		}
	}
	if name, ok := p.Labels[selection.GatewayName]; ok {
		names = append(names, name)
	}
	for _, name := range names {
		if _, known := env.Waypoint(p.Namespace, name); !known {
			gateways = append(gateways, p.Namespace+"/"+name)
		}
	}
	return gateways
}

// assumed is the environment in which exactly these Gateways are waypoints.
func assumed(env selection.Environment, waypoints []string) selection.Environment {
	env.Waypoints, env.Said = waypoints, true
	return env
}
