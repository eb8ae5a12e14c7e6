package lint

import (
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

var ruleCollision = Rule{
	"collision",
	"names of ECDS resources and of files are unique: of two filters with one name the proxy gets one",
	"two EnvoyFilters whose EXTENSION_CONFIG is called demo",
	func(r *manifests.Result, found report) {
		resources, files := map[string]string{}, map[string]string{}
		for _, o := range r.Rendered {
			if other, ok := files[o.File]; ok {
				found(atObject(o), "its file %s is also that of %q: names differ only in case or kind. rename one", o.File, other)
			}
			files[o.File] = o.GetName()
			for _, name := range extensionConfigs(o) {
				if other, ok := resources[name]; ok {
					found(atObject(o, "spec", "configPatches"), "EXTENSION_CONFIG %q is also in EnvoyFilter %q: a proxy takes one of the two. rename it", name, other)
				}
				resources[name] = o.GetName()
			}
		}
	},
}

// extensionConfigs are the names of the ECDS resources that an EnvoyFilter adds.
func extensionConfigs(o manifests.Object) []string {
	if o.GetKind() != "EnvoyFilter" {
		return nil
	}
	patches, err := o.Pipe(yaml.Lookup("spec", "configPatches"))
	if err != nil || patches == nil {
		return nil
	}
	elements, err := patches.Elements()
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range elements {
		if applyTo := e.Field("applyTo"); applyTo == nil || applyTo.Value.YNode().Value != "EXTENSION_CONFIG" {
			continue
		}
		if name, err := e.Pipe(yaml.Lookup("patch", "value", "name")); err == nil && name != nil {
			names = append(names, name.YNode().Value)
		}
	}
	return names
}
