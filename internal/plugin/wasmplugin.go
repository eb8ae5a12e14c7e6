package plugin

import (
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
)

// WasmPlugin is the API that people write.
var WasmPlugin = &API{
	Kind:       "WasmPlugin",
	APIVersion: "extensions.istio.io/v1alpha1",
	Lost:       nothingLost,
	path:       samePath,
	decode: func(p *Plugin, spec json.RawMessage) (bool, error) {
		return true, protojson.Unmarshal(spec, &p.Spec)
	},
	encode: func(_ *Plugin, _ Facts, written map[string]any) (map[string]any, map[string]string, error) {
		return written, nil, nil
	},
}
