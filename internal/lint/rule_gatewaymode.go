package lint

import (
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"istio.io/api/type/v1beta1"
)

var ruleGatewayMode = Rule{
	"gateway-mode",
	"match can be true for the chosen workloads: the listeners of a gateway count as those of a client",
	"targetRefs: [{kind: Gateway, …}] and match: [{mode: SERVER}]",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			if len(p.Spec.Match) == 0 || !forGateway(p) {
				continue
			}
			never := true
			for _, m := range p.Spec.Match {
				never = never && m.Mode == v1beta1.WorkloadMode_SERVER
			}
			if never {
				found(at(p, "match"), "mode SERVER never matches a gateway: its listeners count as those of a client. use CLIENT, or leave match out")
			}
		}
	},
}

// forGateway reports whether the plugin is for gateways, as far as its own fields tell.
func forGateway(p manifests.Plugin) bool {
	for _, ref := range append(p.Spec.TargetRefs, p.Spec.TargetRef) {
		if ref.GetKind() == "Gateway" || ref.GetKind() == "GatewayClass" {
			return true
		}
	}
	// What Istio's own charts put on the pods of its gateways.
	switch p.Spec.Selector.GetMatchLabels()["istio"] {
	case "ingressgateway", "egressgateway", "eastwestgateway":
		return true
	}
	return false
}
