package lint

import (
	"maps"
	"slices"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

var ruleAPI = Rule{
	"api",
	"the environment's api can say all that the plugin says: what it cannot say would be lost without a word",
	"api: EnvoyFilter, and a WasmPlugin with imagePullSecret",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			api := plugin.APIOf(r.Env.API)
			if !api.Restricts {
				if r.Env.Capabilities == manifests.Minimal {
					found(at(p), "a %s cannot restrict capabilities. remove capabilities from %s, or use api: EnvoyFilter", api.Kind, manifests.File)
				}
				continue
			}
			lost := api.Lost(&p.Spec)
			for _, field := range slices.Sorted(maps.Keys(lost)) {
				found(at(p, field), "an %s cannot say this %s: %s", api.Kind, field, lost[field])
			}
			if p.Filter == nil || len(p.Filter.Capabilities) == 0 {
				found(at(p, "url"), "an %s restricts the module to the capabilities of its module.yaml, which lists none. run \"make build\"", api.Kind)
			}
		}
	},
}
