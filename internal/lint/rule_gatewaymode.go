package lint

import (
	"slices"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/selection"
)

var ruleGatewayMode = Rule{
	"gateway-mode",
	"match can be true for the chosen workloads: a gateway's listeners count as a client's, a waypoint's as a server's, and those have no port",
	"targetRefs: [{kind: Gateway, …}] and match: [{mode: SERVER}]",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			chosen := selection.Of(p.Namespace, &p.Spec)
			whatever := chosen
			whatever.Match = nil
			env := r.Env.Selection()
			if len(chosen.Match) == 0 || !env.MayRun(whatever) {
				continue // the selector rule says what is wrong
			}
			if gateways := undecided(env, chosen); len(gateways) > 0 && env.MayRun(chosen) {
				if all, none := assumed(env, gateways), assumed(env, nil); all.MayRun(chosen) != none.MayRun(chosen) {
					found(at(p, "match"), "whether Gateway %s is a waypoint decides whether this ever runs: a gateway's listeners count as a client's, a waypoint's as a server's, without port. say it with waypoints in %s ([] for none)", gateways[0], manifests.File)
					continue
				}
			}
			switch {
			case env.MayRun(chosen):
			case !slices.ContainsFunc(env.Proxies(whatever), func(proxy selection.Proxy) bool {
				return !proxy.Waypoint && whatever.Attached(proxy, env.RootNamespace)
			}):
				found(at(p, "match"), "match never matches a waypoint: its listeners count as those of a server, and have no port. use mode SERVER without ports, or leave match out")
			default:
				found(at(p, "match"), "mode SERVER never matches a gateway: its listeners count as those of a client. use CLIENT, or leave match out")
			}
		}
	},
}
