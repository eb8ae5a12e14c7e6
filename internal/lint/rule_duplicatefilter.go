package lint

import (
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/selection"
)

var ruleDuplicateFilter = Rule{
	"duplicate-filter",
	"a filter is not both a WasmPlugin and a TrafficExtension of one proxy: both would run",
	"WasmPlugin demo and TrafficExtension demo with the same image",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			if p.Kind == plugin.APIs[0].Kind || manifests.FilterOf(p.Spec.Url) == "" {
				continue
			}
			for _, q := range r.Plugins {
				if q.Kind == plugin.APIs[0].Kind && r.Env.Selection().MayMeet(selection.Of(p.Namespace, &p.Spec), selection.Of(q.Namespace, &q.Spec)) && manifests.FilterOf(q.Spec.Url) == manifests.FilterOf(p.Spec.Url) {
					found(at(p, "url"), "filter %s also runs as %s. remove one, and let api in environment.yaml choose", manifests.FilterOf(p.Spec.Url), q)
				}
			}
		}
	},
}
