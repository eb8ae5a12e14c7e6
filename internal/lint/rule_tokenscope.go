package lint

import (
	"slices"

	"istio.io/api/type/v1beta1"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

var ruleTokenScope = Rule{
	"token-scope",
	"a token goes to the hosts that it is for: * is reported where a plugin sees what its workloads send, which may be to anybody",
	`match: [{mode: CLIENT}] and pluginConfig.hosts: ["*"]`,
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			if p.Filter == nil || !slices.ContainsFunc(p.Filter.Callouts, func(c catalog.Callout) bool { return c.Purpose == "token" }) || !seesSent(p) {
				continue
			}
			for _, host := range p.Spec.PluginConfig.GetFields()["hosts"].GetListValue().GetValues() {
				if host.GetStringValue() == "*" {
					found(at(p, "pluginConfig", "hosts"), `pluginConfig.hosts has "*", so that every host which a workload calls gets the token. name the hosts, or allow it in environment.yaml with the reason`)
				}
			}
		}
	},
}

// seesSent reports whether the plugin is at listeners for what workloads send. Those of a gateway count as such.
func seesSent(p manifests.Plugin) bool {
	if len(p.Spec.Match) == 0 {
		return true
	}
	for _, m := range p.Spec.Match {
		if m.Mode != v1beta1.WorkloadMode_SERVER {
			return true
		}
	}
	return false
}
