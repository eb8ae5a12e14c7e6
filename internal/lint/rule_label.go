package lint

import (
	"maps"
	"slices"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"k8s.io/apimachinery/pkg/util/validation"
)

var ruleLabel = Rule{
	"label",
	"labels have the syntax of Kubernetes: no validator looks at those of a selector, and a wrong one matches nothing",
	`selector: {matchLabels: {app: "web app"}}`,
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			labels := p.Spec.Selector.GetMatchLabels()
			for _, key := range slices.Sorted(maps.Keys(labels)) {
				if strings.Contains(labels[key], "*") {
					continue // the CRD says so
				}
				errs := append(validation.IsQualifiedName(key), validation.IsValidLabelValue(labels[key])...)
				if len(errs) > 0 {
					found(at(p, "selector", "matchLabels", key), "label %s: %q matches no pod: %s", key, labels[key], strings.Join(errs, "; "))
				}
			}
		}
	},
}
