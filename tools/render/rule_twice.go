package main

import "github.com/wasmfleet/wasmfleet/internal/environment"

var ruleTwice = rule{
	"twice",
	"a filter is not both a WasmPlugin and a TrafficExtension of one namespace: both would run",
	"WasmPlugin demo and TrafficExtension demo with the same image",
	func(t *tree, found report) {
		for _, p := range t.plugins {
			if p.Kind != environment.TrafficExtension || filterOf(p.Spec.Url) == "" {
				continue
			}
			for _, q := range t.plugins {
				if q.Kind == environment.WasmPlugin && q.Namespace == p.Namespace && filterOf(q.Spec.Url) == filterOf(p.Spec.Url) {
					found(p.at("url"), "filter %s also runs as WasmPlugin %q. remove one, and let api in environment.yaml choose", filterOf(p.Spec.Url), q.Name)
				}
			}
		}
	},
}
