package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resource"

	"github.com/wasmfleet/wasmfleet/internal/environment"
	"github.com/wasmfleet/wasmfleet/internal/envoyconfig"
)

// referencedServices makes istiod send a gateway or waypoint the clusters of these services, in Istio 1.26 and later. Without it a
// proxy that has only the clusters of its routes could not call them.
const referencedServices = "envoyfilter.istio.io/referenced-services"

// project puts every WasmPlugin into the API of the environment; other objects stay. The names of the files follow.
func project(t *tree) ([]object, error) {
	if t.env.API == environment.WasmPlugin {
		return t.objects, nil
	}
	factory := provider.NewDefaultDepProvider().GetResourceFactory()
	plugins := map[string]plugin{}
	for _, p := range t.plugins {
		plugins[p.object.file] = p
	}
	var all []*resource.Resource
	for _, o := range t.objects {
		r := o.Resource
		if p, ok := plugins[o.file]; ok && p.Kind == environment.WasmPlugin {
			object, err := t.inAPI(p)
			if err != nil {
				return nil, err
			}
			if r, err = factory.FromBytes(object); err != nil {
				return nil, err
			}
		}
		all = append(all, r)
	}
	return objectsOf(all)
}

// inAPI is the plugin as JSON in the API of the environment.
func (t *tree) inAPI(p plugin) ([]byte, error) {
	var object struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Metadata   map[string]any `json:"metadata"`
		Spec       map[string]any `json:"spec"`
	}
	data, err := p.object.MarshalJSON()
	if err != nil {
		return nil, err
	}
	if err := decodeJSON(data, &object); err != nil {
		return nil, err
	}
	object.Kind = t.env.API
	if t.env.API == environment.TrafficExtension {
		// The configuration is taken as it is written: a message would make every number a float.
		config := object.Spec["pluginConfig"]
		spec := envoyconfig.TrafficExtension(&p.Spec)
		object.Spec, err = specOf(spec)
		if err != nil {
			return nil, err
		}
		if config != nil {
			object.Spec["wasm"].(map[string]any)["pluginConfig"] = config
		}
		return json.Marshal(object)
	}
	object.APIVersion = "networking.istio.io/v1alpha3"
	var capabilities, services []string
	if p.filter != nil {
		capabilities = p.filter.Capabilities
		for _, c := range p.filter.Callouts {
			if host := at(p.Spec.PluginConfig, c.Upstream)["host"].GetStringValue(); host != "" {
				services = append(services, host)
			}
		}
	}
	spec, err := p.EnvoyFilter(capabilities)
	if err != nil {
		return nil, err
	}
	if len(services) > 0 {
		annotations, _ := object.Metadata["annotations"].(map[string]any)
		if annotations == nil {
			annotations = map[string]any{}
		}
		annotations[referencedServices] = strings.Join(slices.Compact(slices.Sorted(slices.Values(services))), ",")
		object.Metadata["annotations"] = annotations
	}
	object.Spec, err = specOf(spec)
	if err != nil {
		return nil, err
	}
	return json.Marshal(object)
}

func specOf(m proto.Message) (map[string]any, error) {
	data, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var spec map[string]any
	return spec, decodeJSON(data, &spec)
}

// decodeJSON keeps numbers as they are written.
func decodeJSON(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return dec.Decode(v)
}
