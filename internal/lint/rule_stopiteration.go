package lint

import (
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// Envoy has the switch for it (allow_on_headers_stop_iteration) in every supported minor, and of Istio's APIs only EnvoyFilter can set it.
var ruleStopIteration = Rule{
	"stop-iteration",
	"a filter that holds the headers of a request until its body has come is deployed by an API that lets it",
	"stopIteration: headers in plugin.yaml, and a WasmPlugin",
	func(r *manifests.Result, found report) {
		if plugin.APIOf(r.Env.API) == plugin.EnvoyFilter {
			return
		}
		for _, p := range r.Plugins {
			if p.Filter != nil && p.Filter.StopIteration != "" {
				found(at(p, "url"), "filter %s holds headers (stopIteration in its plugin.yaml), and a %s cannot say so: the upstream sees the headers of a request "+
					"before its body was judged. say api: EnvoyFilter in environment.yaml", p.Filter.Name, r.Env.API)
			}
		}
	},
}
