package main

import (
	"slices"
	"strings"
)

var rulePhase = rule{
	"phase",
	"a filter runs in a phase that its plugin.yaml allows",
	func(t *tree, found func(plugin, string, ...any)) {
		for _, p := range t.plugins {
			if p.filter != nil && !slices.Contains(p.filter.Phases, p.PhaseName()) {
				found(p, "filter %s may not run in phase %s. its plugin.yaml allows %s", p.filter.Name, p.PhaseName(), strings.Join(p.filter.Phases, ", "))
			}
		}
	},
}
