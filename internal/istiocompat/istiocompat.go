// Package istiocompat is what the Istio minors that wasmfleet supports have in common and where they differ, as data.
package istiocompat

import (
	_ "embed" // the table
	"strings"
	"sync"
)

//go:embed envoys.txt
var table string

// next is in the table, in the place of a minor, for the Envoy of the coming one.
const next = "next"

// row is a line of the table.
type row struct{ istio, envoy string }

var rows = sync.OnceValue(func() (all []row) {
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] != "#" {
			all = append(all, row{fields[0], fields[1]})
		}
	}
	return all
})

// TestedEnvoys are the releases of Envoy that the filters are tested on, oldest first: one for each supported minor, and the next.
func TestedEnvoys() (all []string) {
	for _, r := range rows() {
		all = append(all, r.envoy)
	}
	return all
}

// TestedEnvoy is the release of Envoy that stands for the one inside the Istio minor; false when that minor is not supported.
func TestedEnvoy(istio string) (string, bool) {
	for _, r := range rows() {
		if r.istio == istio && istio != next {
			return r.envoy, true
		}
	}
	return "", false
}

// Minors are the supported Istio minors, oldest first.
func Minors() (all []string) {
	for _, r := range rows() {
		if r.istio != next {
			all = append(all, r.istio)
		}
	}
	return all
}
