// Package kustomize builds an overlay as the command line does, offline, and knows the file and line that each field comes from.
package kustomize

import (
	"fmt"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Build runs kustomize on the folder dir, which may read what is below root. The objects, their order and their bytes are those of
// `kustomize build`. Step is told what comes next.
func Build(files Files, root, dir string, step func(what string)) ([]*resource.Resource, *Source, error) {
	source, err := readSource(files, root, dir)
	if err != nil {
		return nil, nil, err
	}
	resources, ok, err := buildChunks(files, dir, source, step)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		step(dir)
		m, err := run(files, dir)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", dir, err)
		}
		resources = m.Resources()
	}
	return resources, source, nil
}

func run(fs filesys.FileSystem, dir string) (m resmap.ResMap, err error) {
	defer goOffline()()
	defer func() { // its parsers panic on some input
		if r := recover(); r != nil {
			err = fmt.Errorf("kustomize cannot read this: %v. simplify the files that changed last", r)
		}
	}()
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified // as the command line does
	return krusty.MakeKustomizer(options).Run(fs, dir)
}
