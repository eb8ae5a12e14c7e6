package kustomize

import (
	"cmp"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	sigsyaml "sigs.k8s.io/yaml"
)

// chunkSize is how many entries of resources are built at once. Kustomize compares every object with every other, every patch
// and every image, so that a thousand plugins in one go take minutes.
const chunkSize = 8

// chunk is a part of an overlay that kustomize can build for itself.
type chunk struct {
	resources []string
	patches   []types.Patch
	texts     map[string]bool // every scalar of the chunk's documents
}

// buildChunks builds the overlay in parts; false when a part could depend on another, or when the parts do not add up, and the
// overlay must be built as a whole.
func buildChunks(files Files, dir string, s *Source, step func(string)) ([]*resource.Resource, bool, error) {
	overlay := s.kustomizations[len(s.kustomizations)-1]
	chunks, ok := split(files, overlay, s)
	if !ok || len(chunks) < 2 {
		return nil, false, nil
	}
	var all []*resource.Resource
	ids := map[resid.ResId]bool{}
	for i, c := range chunks {
		step(fmt.Sprintf("%s %d/%d", dir, i*chunkSize, len(overlay.Resources)))
		part, err := c.files(files, overlay, s)
		if err != nil {
			return nil, false, err
		}
		built, err := run(part, dir)
		if err != nil {
			return nil, false, nil //nolint:nilerr // the whole build says it in kustomize's words
		}
		for _, r := range built.Resources() {
			if id := r.CurId(); ids[id] {
				return nil, false, nil // as above: one object twice
			} else {
				ids[id] = true
			}
			all = append(all, r)
		}
	}
	slices.SortFunc(all, compare)
	return all, true, nil
}

// compare is the order of `kustomize build` among kinds that it does not know.
func compare(a, b *resource.Resource) int {
	return cmp.Or(cmp.Compare(gvkKey(a), gvkKey(b)), cmp.Compare(nameKey(a), nameKey(b)))
}

func gvkKey(r *resource.Resource) string {
	gvk := r.GetGvk()
	return gvk.Group + "_" + gvk.Version + "_" + gvk.Kind
}

func nameKey(r *resource.Resource) string {
	return cmp.Or(r.CurId().Namespace, "~X") + "|" + r.GetName()
}

// split finds the chunks. It gives up when anything in the tree may reach from one entry of resources into another: names that
// change and are referred to, replacements, generators, kinds that refer to others, patches by selector.
func split(files Files, overlay kustomization, s *Source) ([]*chunk, bool) {
	for _, k := range s.kustomizations {
		if !separable(files, k) {
			return nil, false
		}
	}
	texts := make([]map[string]bool, len(overlay.Resources))
	targets := map[int]int{} // patch of the overlay → chunk
	ids := map[resid.ResId]bool{}
	for _, w := range s.written {
		if w.entry < 0 || !istioGroup.MatchString(w.ids[0].Group) || ids[w.id()] {
			return nil, false
		}
		ids[w.id()] = true
		if texts[w.entry] == nil {
			texts[w.entry] = map[string]bool{}
		}
		for _, d := range w.documents {
			addTexts(texts[w.entry], d.root)
			if d.dir != overlay.dir {
				continue
			}
			at := w.entry / chunkSize
			if other, several := targets[d.index]; several && other != at || d.operations {
				return nil, false
			}
			targets[d.index] = at
		}
	}
	var chunks []*chunk
	for i, resource := range overlay.Resources {
		if i%chunkSize == 0 {
			chunks = append(chunks, &chunk{texts: map[string]bool{}})
		}
		c := chunks[len(chunks)-1]
		c.resources = append(c.resources, resource)
		for text := range texts[i] {
			c.texts[text] = true
		}
	}
	for i, p := range overlay.Patches {
		at, known := targets[i]
		if !known {
			return nil, false
		}
		chunks[at].patches = append(chunks[at].patches, p)
	}
	return chunks, true
}

// istioGroup are the kinds whose objects kustomize knows no references between.
var istioGroup = regexp.MustCompile(`\.istio\.io$`)

// separable reports whether the kustomization has only fields whose effect ends at each object.
func separable(files Files, k kustomization) bool {
	rest := k.Kustomization
	for _, p := range rest.Patches {
		if p.Target != nil || p.Options != nil {
			return false
		}
	}
	for _, c := range rest.Configurations {
		_, documents, err := readYAML(files, filepath.Join(k.dir, c))
		if err != nil || len(documents) != 1 || len(documents[0].Content) != 2 || documents[0].Content[0].Value != "images" {
			return false // it may declare references
		}
	}
	rest.TypeMeta = types.TypeMeta{}
	rest.Resources, rest.Components, rest.Patches, rest.Images, rest.Configurations, rest.Namespace = nil, nil, nil, nil, nil, ""
	return reflect.DeepEqual(rest, types.Kustomization{})
}

func addTexts(texts map[string]bool, n *yaml.Node) {
	if n.Kind == yaml.ScalarNode {
		texts[n.Value] = true
		// What an image may be called: without digest, without tag.
		name, _, _ := strings.Cut(n.Value, "@")
		texts[name] = true
		if colon := strings.LastIndex(name, ":"); colon > strings.LastIndex(name, "/") {
			texts[name[:colon]] = true
		}
	}
	if n.Alias != nil {
		addTexts(texts, n.Alias)
	}
	for _, child := range n.Content {
		addTexts(texts, child)
	}
}

// literal are names of images that, as the regular expressions that kustomize takes them for, match nothing but themselves.
var literal = regexp.MustCompile(`^[a-zA-Z0-9:/_-]+$`)

// files are the tree in which the overlay has only the chunk's resources and patches, and images only the entries that can be for
// one of them.
func (c *chunk) files(all Files, overlay kustomization, s *Source) (Files, error) {
	for _, k := range s.kustomizations {
		if k.dir != overlay.dir && len(k.Images) == 0 {
			continue
		}
		changed := k.Kustomization
		if k.dir == overlay.dir {
			changed.Resources, changed.Patches = c.resources, c.patches
		}
		changed.Images = nil
		for _, image := range k.Images {
			if !literal.MatchString(image.Name) || c.texts[image.Name] {
				changed.Images = append(changed.Images, image)
			}
		}
		content, err := sigsyaml.Marshal(changed)
		if err != nil {
			return all, err
		}
		if all, err = all.With(k.file, content); err != nil {
			return all, err
		}
	}
	return all, nil
}
