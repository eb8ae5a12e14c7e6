package lint

import (
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

var ruleExplicit = Rule{
	"explicit",
	"priority, phase, failStrategy and imagePullPolicy are written out: their defaults surprise (a missing priority sorts last, not as 0)",
	"a WasmPlugin without spec.priority",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			for _, f := range [][2]string{{"priority", "10"}, {"phase", "STATS"}, {"failStrategy", "FAIL_RELOAD"}, {"imagePullPolicy", "IfNotPresent"}} {
				if !written(p, f[0]) {
					found(at(p, f[0]), "%s is not written. write it in the base, for example %s: %s", f[0], f[0], f[1])
				}
			}
		}
	},
}

// written reports whether the object sets the field of its spec, whatever to.
func written(p manifests.Plugin, field string) bool {
	v, err := p.Object.GetFieldValue(strings.Join(p.API().Path(field), "."))
	return err == nil && v != nil
}
