package main

import (
	"slices"
	"strings"

	"istio.io/api/extensions/v1alpha1"

	"github.com/wasmfleet/wasmfleet/internal/istiocompat"
)

var ruleIstioVersion = rule{
	"istio-version",
	"the environment's Istio minor is supported and has what the plugin uses",
	`plugin.yaml says istio ">=1.29", environment.yaml says istio "1.28"`,
	func(t *tree, found report) {
		minors := istiocompat.Minors()
		here := slices.Index(minors, t.env.Istio)
		for _, p := range t.plugins {
			if here < 0 {
				found(p.at(), "Istio %s is not supported. supported: %s", t.env.Istio, strings.Join(minors, ", "))
				continue
			}
			if least, ok := istiocompat.Since(t.env.API); ok && here < slices.Index(minors, least) {
				found(p.at(), "api %s needs Istio %s, the environment runs %s. use another api in environment.yaml", t.env.API, least, t.env.Istio)
			}
			if p.filter != nil && p.filter.Istio != "" {
				// plugin.yaml gives a lower bound; one below every supported minor binds nothing.
				least := slices.Index(minors, strings.TrimPrefix(p.filter.Istio, ">="))
				if here < least {
					found(p.at(), "filter %s is built for Istio %s, the environment runs %s. upgrade Istio or leave the filter out", p.filter.Name, p.filter.Istio, t.env.Istio)
				}
			}
			if p.Spec.Type == v1alpha1.PluginType_NETWORK {
				found(p.at("type"), "type NETWORK is not supported by wasmfleet. use HTTP")
			}
		}
	},
}
