package plugin

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	extensions "istio.io/api/extensions/v1alpha1"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
)

// API is a kind of Istio's objects that can deploy a filter. Another one is a file with a value of this type and a place in APIs.
type API struct {
	Kind       string
	APIVersion string
	Since      string // the first Istio minor that has it; empty when every supported one has
	Restricts  bool   // it can restrict a module to capabilities
	ByHand     bool   // objects of this kind are also written by hand, and may then say what no plugin says

	// Lost lists the fields of a plugin that this API cannot say, each with the reason.
	Lost func(*extensions.WasmPlugin) map[string]string

	// path is where a field of WasmPlugin's spec stands in the spec of this API.
	path func(field []string) []string
	// decode reads a spec into the plugin; false when it deploys no module.
	decode func(p *Plugin, spec json.RawMessage) (bool, error)
	// encode is the spec, and annotations that go with it. The spec as it was written has what a message would not keep: whether a
	// number is an integer.
	encode func(p *Plugin, facts Facts, written map[string]any) (spec map[string]any, annotations map[string]string, err error)
}

// APIs are all of them. The first is what people write, and what an environment gets that asks for nothing else.
var APIs = []*API{WasmPlugin, TrafficExtension, EnvoyFilter}

// APIOf is the API of that kind; nil for another kind.
func APIOf(kind string) *API {
	for _, a := range APIs {
		if a.Kind == kind {
			return a
		}
	}
	return nil
}

// Kinds are the kinds of all APIs, in their order.
func Kinds() (kinds []string) {
	for _, a := range APIs {
		kinds = append(kinds, a.Kind)
	}
	return kinds
}

// Path is where a field of WasmPlugin's spec stands in an object of this API.
func (a *API) Path(field ...string) []string {
	if len(field) > 0 {
		field = a.path(field)
	}
	return append([]string{"spec"}, field...)
}

// Facts are what is true of the module that a plugin runs.
type Facts struct {
	Capabilities []string // the host calls and callbacks that it uses
	Callouts     []catalog.Callout
	HoldsHeaders bool // ActionPause in headers stops them, too, and not only what follows
}

// Object is the plugin as an object of this API, as JSON; written is the object as it was written, as JSON.
func (a *API) Object(p *Plugin, facts Facts, written []byte) ([]byte, error) {
	var object map[string]any
	if err := utiljson.Unmarshal(written, &object); err != nil {
		return nil, err
	}
	spec, _ := object["spec"].(map[string]any)
	spec, annotations, err := a.encode(p, facts, spec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p, err)
	}
	object["apiVersion"], object["kind"], object["spec"] = a.APIVersion, a.Kind, spec
	metadata, _ := object["metadata"].(map[string]any)
	if len(annotations) > 0 {
		all, _ := metadata["annotations"].(map[string]any)
		if all == nil {
			all = map[string]any{}
		}
		for _, name := range slices.Sorted(maps.Keys(annotations)) {
			all[name] = annotations[name]
		}
		metadata["annotations"] = all
	}
	return json.Marshal(object)
}

func samePath(field []string) []string { return field }

func nothingLost(*extensions.WasmPlugin) map[string]string { return nil }
