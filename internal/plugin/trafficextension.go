package plugin

import (
	"encoding/json"
	"slices"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	extensions "istio.io/api/extensions/v1alpha1"
	typev1beta1 "istio.io/api/type/v1beta1"
)

// TrafficExtension is the API that supersedes WasmPlugin: the same fields, those of the module one level deeper. Nothing is lost.
var TrafficExtension = &API{
	Kind:       "TrafficExtension",
	APIVersion: "extensions.istio.io/v1alpha1",
	Since:      "1.30",
	Lost:       nothingLost,
	path: func(field []string) []string {
		if slices.Contains(outsideWasm, field[0]) {
			return field
		}
		return append([]string{"wasm"}, field...)
	},
	decode: func(p *Plugin, spec json.RawMessage) (bool, error) {
		var te extensions.TrafficExtension
		if err := protojson.Unmarshal(spec, &te); err != nil {
			return false, err
		}
		w := fromTrafficExtension(&te)
		if w == nil {
			return false, nil
		}
		proto.Merge(&p.Spec, w)
		return true, nil
	},
	encode: func(p *Plugin, _ Facts, written map[string]any) (map[string]any, map[string]string, error) {
		spec, err := specOf(trafficExtension(&p.Spec))
		// The configuration is taken as it is written: a message would make every number a float.
		if config := written["pluginConfig"]; err == nil && config != nil {
			spec["wasm"].(map[string]any)["pluginConfig"] = config
		}
		return spec, nil, err
	},
}

// outsideWasm are the fields that do not belong to the module.
var outsideWasm = []string{"selector", "targetRefs", "phase", "priority", "match"}

func trafficExtension(w *extensions.WasmPlugin) *extensions.TrafficExtension {
	te := &extensions.TrafficExtension{
		Selector:   w.Selector,
		TargetRefs: w.TargetRefs,
		Phase:      extensions.TrafficExtension_ExecutionPhase(w.Phase), // the same numbers
		Priority:   w.Priority,
		FilterConfig: &extensions.TrafficExtension_Wasm{Wasm: &extensions.WasmConfig{
			Url:             w.Url,
			Sha256:          w.Sha256,
			ImagePullPolicy: w.ImagePullPolicy,
			ImagePullSecret: w.ImagePullSecret,
			VerificationKey: w.VerificationKey,
			PluginConfig:    w.PluginConfig,
			PluginName:      w.PluginName,
			FailStrategy:    w.FailStrategy,
			VmConfig:        w.VmConfig,
			Type:            w.Type,
		}},
	}
	if w.TargetRef != nil { // deprecated, and not taken over
		te.TargetRefs = []*typev1beta1.PolicyTargetReference{w.TargetRef}
	}
	for _, m := range w.Match {
		te.Match = append(te.Match, &extensions.TrafficSelector{Mode: m.Mode, Ports: m.Ports})
	}
	return te
}

// fromTrafficExtension is the way back; nil when it runs Lua.
func fromTrafficExtension(te *extensions.TrafficExtension) *extensions.WasmPlugin {
	c := te.GetWasm()
	if c == nil {
		return nil
	}
	w := &extensions.WasmPlugin{
		Selector:        te.Selector,
		TargetRefs:      te.TargetRefs,
		Phase:           extensions.PluginPhase(te.Phase),
		Priority:        te.Priority,
		Url:             c.Url,
		Sha256:          c.Sha256,
		ImagePullPolicy: c.ImagePullPolicy,
		ImagePullSecret: c.ImagePullSecret,
		VerificationKey: c.VerificationKey,
		PluginConfig:    c.PluginConfig,
		PluginName:      c.PluginName,
		FailStrategy:    c.FailStrategy,
		VmConfig:        c.VmConfig,
		Type:            c.Type,
	}
	for _, m := range te.Match {
		w.Match = append(w.Match, &extensions.WasmPlugin_TrafficSelector{Mode: m.Mode, Ports: m.Ports})
	}
	return w
}
