package main

import (
	"slices"
	"strings"
)

var rulePhase = rule{
	"phase",
	"a filter runs in a phase that its plugin.yaml allows",
	"phase: AUTHN, and plugin.yaml says phases: [STATS]",
	func(t *tree, found report) {
		for _, p := range t.plugins {
			if p.filter != nil && !slices.Contains(p.filter.Phases, p.PhaseName()) {
				found(p.at("phase"), "filter %s may not run in phase %s. its plugin.yaml allows %s", p.filter.Name, p.PhaseName(), strings.Join(p.filter.Phases, ", "))
			}
		}
	},
}
