package main

import (
	"maps"
	"slices"

	"github.com/wasmfleet/wasmfleet/internal/environment"
	"github.com/wasmfleet/wasmfleet/internal/envoyconfig"
)

var ruleAPI = rule{
	"api",
	"the environment's api can say all that the plugin says: what it cannot say would be lost without a word",
	"api: EnvoyFilter, and a WasmPlugin with imagePullSecret",
	func(t *tree, found report) {
		for _, p := range t.plugins {
			if t.env.API != environment.EnvoyFilter {
				if t.env.Capabilities == environment.Minimal {
					found(p.at(), "a %s cannot restrict capabilities. remove capabilities from %s, or use api: EnvoyFilter", t.env.API, environment.File)
				}
				continue
			}
			lost := envoyconfig.NotInEnvoyFilter(&p.Spec)
			for _, field := range slices.Sorted(maps.Keys(lost)) {
				found(p.at(field), "an EnvoyFilter cannot say this %s: %s", field, lost[field])
			}
			if p.filter == nil || len(p.filter.Capabilities) == 0 {
				found(p.at("url"), "an EnvoyFilter restricts the module to the capabilities of its module.yaml, which lists none. run \"make build\"")
			}
		}
	},
}
