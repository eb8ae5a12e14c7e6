package main

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/wasmfleet/wasmfleet/internal/environment"
)

// object is one rendered object and the file that it goes to.
type object struct {
	*resource.Resource
	file string
	yaml []byte
}

// build runs kustomize on the overlay. The objects, their order, their bytes and their file names are those of `kustomize build`.
func build(env environment.Environment) ([]object, *source, error) {
	source, err := readSource(env.Manifests, env.Dir)
	if err != nil {
		return nil, nil, err
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified // as the command line does
	m, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), env.Dir)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", env.Dir, err)
	}
	objects, err := objectsOf(m)
	return objects, source, err
}

func objectsOf(m resmap.ResMap) ([]object, error) {
	var objects []object
	for _, r := range m.Resources() {
		yaml, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		objects = append(objects, object{r, fileName(m, r), yaml})
	}
	return objects, nil
}

// fileName is kustomize's: group_version_kind_name.yaml, after the namespace when there are several.
func fileName(m resmap.ResMap, r *resource.Resource) string {
	name := strings.ToLower(r.GetGvk().StringWoEmptyField()) + "_" + strings.ToLower(r.GetName()) + ".yaml"
	if namespaces := m.GroupedByCurrentNamespace(); len(namespaces) > 1 && !r.GetGvk().IsClusterScoped() {
		return strings.ToLower(r.GetNamespace()) + "_" + name
	}
	return name
}
