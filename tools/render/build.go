package main

import (
	"fmt"
	"strings"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/wasmfleet/wasmfleet/internal/environment"
)

// object is one rendered object and the file that it goes to.
type object struct {
	*resource.Resource
	file string
	yaml []byte
}

// build runs kustomize on the overlay. The objects, their order, their bytes and their file names are those of `kustomize build`.
func build(env environment.Environment, p progress) ([]object, *source, error) {
	source, err := readSource(env.Manifests, env.Dir)
	if err != nil {
		return nil, nil, err
	}
	resources, ok, err := buildChunks(env, source, p)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		p.step(env.Name)
		m, err := runKustomize(filesys.MakeFsOnDisk(), env.Dir)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", env.Dir, err)
		}
		resources = m.Resources()
	}
	objects, err := objectsOf(resources)
	return objects, source, err
}

func runKustomize(fs filesys.FileSystem, dir string) (m resmap.ResMap, err error) {
	defer func() { // its parsers panic on some input
		if r := recover(); r != nil {
			err = fmt.Errorf("kustomize cannot read this: %v. simplify the files that changed last", r)
		}
	}()
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified // as the command line does
	return krusty.MakeKustomizer(options).Run(fs, dir)
}

func objectsOf(resources []*resource.Resource) ([]object, error) {
	namespaces := map[string]bool{}
	for _, r := range resources {
		if ns := r.CurId().EffectiveNamespace(); ns != resid.TotallyNotANamespace {
			namespaces[ns] = true
		}
	}
	var objects []object
	for _, r := range resources {
		yaml, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		objects = append(objects, object{r, fileName(r, len(namespaces) > 1), yaml})
	}
	return objects, nil
}

// fileName is kustomize's: group_version_kind_name.yaml, after the namespace when there are several.
func fileName(r *resource.Resource, severalNamespaces bool) string {
	name := strings.ToLower(r.GetGvk().StringWoEmptyField()) + "_" + strings.ToLower(r.GetName()) + ".yaml"
	if severalNamespaces && !r.GetGvk().IsClusterScoped() {
		return strings.ToLower(r.GetNamespace()) + "_" + name
	}
	return name
}
