package lint

import (
	"slices"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

var rulePhase = Rule{
	"phase",
	"a filter runs in a phase that its plugin.yaml allows",
	"phase: AUTHN, and plugin.yaml says phases: [STATS]",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			if p.Filter != nil && !slices.Contains(p.Filter.Phases, p.PhaseName()) {
				found(at(p, "phase"), "filter %s may not run in phase %s. its plugin.yaml allows %s", p.Filter.Name, p.PhaseName(), strings.Join(p.Filter.Phases, ", "))
			}
		}
	},
}
