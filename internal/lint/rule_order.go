package lint

import (
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/selection"
)

var ruleOrder = Rule{
	"order",
	"no two plugins of one filter chain share phase and priority: Istio then orders them by age, so creating one anew changes the chain",
	"two plugins with phase: STATS, priority: 10",
	func(r *manifests.Result, found report) {
		for i, p := range r.Plugins {
			if p.Spec.Priority == nil {
				continue // the explicit rule says so
			}
			for _, q := range r.Plugins[:i] {
				if q.Spec.Priority != nil && p.Spec.Priority.Value == q.Spec.Priority.Value && p.Spec.Phase == q.Spec.Phase &&
					r.Env.Selection().MayMeet(selection.Of(p.Namespace, &p.Spec), selection.Of(q.Namespace, &q.Spec)) {
					found(at(p, "priority"), "phase %s and priority %d are also those of %q, which can be in the same filter chain. choose another priority; the highest runs first", p.PhaseName(), p.Spec.Priority.GetValue(), q.Name)
				}
			}
		}
	},
}
