package lint

import (
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

var ruleDuplicateFilter = Rule{
	"duplicate-filter",
	"a filter is not both a WasmPlugin and a TrafficExtension of one namespace: both would run",
	"WasmPlugin demo and TrafficExtension demo with the same image",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			if p.Kind == plugin.APIs[0].Kind || manifests.FilterOf(p.Spec.Url) == "" {
				continue
			}
			for _, q := range r.Plugins {
				if q.Kind == plugin.APIs[0].Kind && q.Namespace == p.Namespace && manifests.FilterOf(q.Spec.Url) == manifests.FilterOf(p.Spec.Url) {
					found(at(p, "url"), "filter %s also runs as %s. remove one, and let api in environment.yaml choose", manifests.FilterOf(p.Spec.Url), q)
				}
			}
		}
	},
}
