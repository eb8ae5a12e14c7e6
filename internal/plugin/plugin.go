// Package plugin is a filter as Istio deploys it: its object in each of the APIs, its place in the chain, and what istiod makes of it
// for Envoy.
package plugin

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	"istio.io/client-go/pkg/apis/extensions/v1alpha1"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
)

// Plugin is one filter as a WasmPlugin and the file it was read from. Kind says which API the file uses.
type Plugin struct {
	File string
	*v1alpha1.WasmPlugin
	rendered *wasmfilterv3.Wasm // of an EnvoyFilter: the whole filter
}

// API is that of the object.
func (p *Plugin) API() *API { return APIOf(p.Kind) }

// String names the object in messages.
func (p *Plugin) String() string { return fmt.Sprintf("%s %q", p.Kind, p.Name) }

// ID names the plugin in Envoy: the filter, its ECDS resource and its log lines. Istiod adds a prefix that differs by version.
func (p *Plugin) ID() string { return strings.TrimPrefix(p.Namespace+"."+p.Name, ".") }

// PhaseName is the phase as it is written in YAML.
func (p *Plugin) PhaseName() string { return p.Spec.Phase.String() }

// priority sorts an unset priority after every set one, negative ones too, which the API's documentation does not say.
func (p *Plugin) priority() int32 {
	if p.Spec.Priority == nil {
		return math.MinInt32
	}
	return p.Spec.Priority.Value
}

// Compare orders plugins as istiod's filter chain does: by phase, in a phase by priority, the highest first. Istiod breaks a tie
// by age and then by name and namespace; files have no age, so name and namespace decide. It also runs a workload's own
// namespace before the root namespace, which only matters for a tie between the two.
func Compare(a, b *Plugin) int {
	return cmp.Or(
		cmp.Compare(slices.Index(catalog.Phases, a.PhaseName()), slices.Index(catalog.Phases, b.PhaseName())),
		cmp.Compare(b.priority(), a.priority()),
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Namespace, b.Namespace),
	)
}
