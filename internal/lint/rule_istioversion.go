package lint

import (
	"slices"
	"strings"

	"istio.io/api/extensions/v1alpha1"

	"github.com/wasmfleet/wasmfleet/internal/istiocompat"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

var ruleIstioVersion = Rule{
	"istio-version",
	"the environment's Istio minor is supported and has what the plugin uses",
	`plugin.yaml says istio ">=1.29", environment.yaml says istio "1.28"`,
	func(r *manifests.Result, found report) {
		minors := istiocompat.Minors()
		here := slices.Index(minors, r.Env.Istio)
		for _, p := range r.Plugins {
			if here < 0 {
				found(at(p), "Istio %s is not supported. supported: %s", r.Env.Istio, strings.Join(minors, ", "))
				continue
			}
			if least := plugin.APIOf(r.Env.API).Since; p.API() == plugin.APIs[0] && here < slices.Index(minors, least) {
				found(at(p), "api %s needs Istio %s, the environment runs %s. use another api in environment.yaml", r.Env.API, least, r.Env.Istio)
			}
			if p.Filter != nil && p.Filter.Istio != "" {
				// plugin.yaml gives a lower bound; one below every supported minor binds nothing.
				least := slices.Index(minors, strings.TrimPrefix(p.Filter.Istio, ">="))
				if here < least {
					found(at(p), "filter %s is built for Istio %s, the environment runs %s. upgrade Istio or leave the filter out", p.Filter.Name, p.Filter.Istio, r.Env.Istio)
				}
			}
			if p.Spec.Type == v1alpha1.PluginType_NETWORK {
				found(at(p, "type"), "type NETWORK is not supported by wasmfleet. use HTTP")
			}
		}
	},
}
