package main

var ruleOrder = rule{
	"order",
	"no two plugins share phase and priority: Istio then orders them by age, so creating one anew changes the chain",
	"two plugins with phase: STATS, priority: 10",
	func(t *tree, found report) {
		for i, p := range t.plugins {
			for _, q := range t.plugins[:i] {
				if p.written("priority") && p.Namespace == q.Namespace && p.PhaseName() == q.PhaseName() && p.Spec.Priority.GetValue() == q.Spec.Priority.GetValue() && q.written("priority") {
					found(p.at("priority"), "phase %s and priority %d are also those of %q. choose another priority; the highest runs first", p.PhaseName(), p.Spec.Priority.GetValue(), q.Name)
				}
			}
		}
	},
}
