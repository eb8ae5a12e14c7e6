package lint

import (
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"istio.io/api/extensions/v1alpha1"
)

var ruleFailOpen = Rule{
	"fail-open",
	"a plugin in AUTHN or AUTHZ does not fail open: whoever makes it fail is let in",
	"phase: AUTHN, failStrategy: FAIL_OPEN",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			guards := p.Spec.Phase == v1alpha1.PluginPhase_AUTHN || p.Spec.Phase == v1alpha1.PluginPhase_AUTHZ
			if guards && p.Spec.FailStrategy == v1alpha1.FailStrategy_FAIL_OPEN {
				found(at(p, "failStrategy"), "failStrategy FAIL_OPEN in phase %s lets every request pass when the filter fails. use FAIL_RELOAD or FAIL_CLOSE", p.PhaseName())
			}
		}
	},
}
