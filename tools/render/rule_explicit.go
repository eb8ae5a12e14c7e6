package main

var ruleExplicit = rule{
	"explicit",
	"priority, phase, failStrategy and imagePullPolicy are written out: their defaults surprise (a missing priority sorts last, not as 0)",
	"a WasmPlugin without spec.priority",
	func(t *tree, found report) {
		for _, p := range t.plugins {
			for _, f := range [][2]string{{"priority", "10"}, {"phase", "STATS"}, {"failStrategy", "FAIL_RELOAD"}, {"imagePullPolicy", "IfNotPresent"}} {
				if !p.written(f[0]) {
					found(p.at(f[0]), "%s is not written. write it in the base, for example %s: %s", f[0], f[0], f[1])
				}
			}
		}
	},
}
