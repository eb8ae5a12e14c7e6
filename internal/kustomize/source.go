package kustomize

import (
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
)

// Source is what an environment is built of: the objects that its kustomizations read, each with the documents that write it, in
// the order in which kustomize applies them. It finds the line that a finding is about.
//
// Kustomize itself tells no lines: its annotations of origin name the file of an object, not that of a patch. So the ways that an
// object goes through the kustomizations are followed here, as far as names, namespaces, patches and images go. What is renamed or
// made in another way, by a generator or a replacement, is an object without lines.
type Source struct {
	kustomizations []kustomization // each once, the overlay last
	written        []*written
}

// kustomization is one folder that is built.
type kustomization struct {
	dir, file string
	content   []byte
	types.Kustomization
	images []imageLine
}

// written is an object as the documents write it.
type written struct {
	entry     int           // of the overlay's resources, that it belongs to; -1 for what the overlay itself adds
	ids       []resid.ResId // as it is written, and after each change of name or namespace
	documents []document    // the object, and its patches
	images    []imageLine   // the entries of images that it meets
}

// document is an object or a patch of one.
type document struct {
	file       string
	line       int // added to the line of a node: a patch may stand inside a kustomization.yaml
	root       *yaml.Node
	operations bool // root is a JSON patch: a list of operations

	dir   string // of a patch: the kustomization that has it
	index int    // of a patch: its place in that kustomization's patches
}

// imageLine is an entry of an images field.
type imageLine struct {
	file                  string
	line                  int
	name, newName, digest string
}

// id is what the object is called now.
func (w *written) id() resid.ResId { return w.ids[len(w.ids)-1] }

// rename notes a change of name or namespace.
func (w *written) rename(change func(*resid.ResId)) {
	next := w.id()
	if change(&next); next != w.id() {
		w.ids = append(w.ids, next)
	}
}

// idOf is what a document calls its object.
func idOf(root *yaml.Node) resid.ResId {
	text := func(path ...string) string {
		if n := lookup(root, path...); n != nil {
			return n.Value
		}
		return ""
	}
	group, version := resid.ParseGroupVersion(text("apiVersion"))
	return resid.NewResIdWithNamespace(resid.NewGvk(group, version, text("kind")), text("metadata", "name"), text("metadata", "namespace"))
}

// objectsIn are the objects of documents: a list is its items.
func objectsIn(file string, documents []*yaml.Node) (all []*written) {
	for _, root := range documents {
		if items := lookup(root, "items"); items != nil && items.Kind == yaml.SequenceNode && strings.HasSuffix(idOf(root).Kind, "List") {
			all = append(all, objectsIn(file, items.Content)...)
			continue
		}
		all = append(all, &written{entry: -1, ids: []resid.ResId{idOf(root)}, documents: []document{{file: file, root: root}}})
	}
	return all
}

// patched adds a document to the objects that it changes, as far as can be told from names: labels are not followed.
func patched(objects []*written, d document, target *types.Selector) error {
	id := idOf(d.root)
	var selects *types.SelectorRegex
	if target != nil {
		var err error
		if selects, err = types.NewSelectorRegex(target); err != nil {
			return err
		}
	}
	for _, w := range objects {
		if slices.ContainsFunc(w.ids, func(known resid.ResId) bool {
			if selects != nil {
				return selects.MatchGvk(known.Gvk) && selects.MatchName(known.Name) && selects.MatchNamespace(known.EffectiveNamespace())
			}
			return known.Kind == id.Kind && known.Group == id.Group && known.Name == id.Name && (id.Namespace == "" || id.Namespace == known.Namespace)
		}) {
			w.documents = append(w.documents, d)
		}
	}
	return nil
}

// transform applies to the objects what the kustomization does to names and namespaces.
func (k kustomization) transform(objects []*written) {
	for _, w := range objects {
		if k.Namespace != "" && !w.id().IsClusterScoped() {
			w.rename(func(id *resid.ResId) { id.Namespace = k.Namespace })
		}
		if w.id().Kind != "Namespace" && w.id().Kind != "CustomResourceDefinition" {
			w.rename(func(id *resid.ResId) { id.Name = k.NamePrefix + id.Name + k.NameSuffix })
		}
		w.images = append(w.images, k.images...)
	}
}

// Moved is the namespace that the object was given before the last one; empty when it was given no other.
func (s *Source) Moved(r *resource.Resource) (from string) {
	w := s.of(r)
	if w == nil {
		return ""
	}
	for _, id := range w.ids {
		if id.Namespace != "" && id.Namespace != w.id().Namespace {
			from = id.Namespace
		}
	}
	return from
}

// Node is a place where a field, or a part of it, is written.
type Node struct {
	Path []string // below the field; empty for the field itself
	*yaml.Node
}

// Written are the places where a field of an object is written, in the order in which kustomize applies them; known says whether
// the object's documents are known at all.
func (s *Source) Written(r *resource.Resource, field []string) (nodes []Node, known bool) {
	w := s.of(r)
	if w == nil {
		return nil, false
	}
	for _, d := range w.documents {
		nodes = append(nodes, d.written(field)...)
	}
	return nodes, true
}

func (d document) written(field []string) (nodes []Node) {
	if !d.operations {
		if n := lookup(d.root, field...); n != nil {
			nodes = append(nodes, Node{nil, n})
		}
		return nodes
	}
	for _, operation := range d.root.Content {
		path, value := operationOf(operation)
		switch {
		case value == nil:
		case hasPrefix(field, path):
			if n := lookup(value, field[len(path):]...); n != nil {
				nodes = append(nodes, Node{nil, n})
			}
		case hasPrefix(path, field):
			nodes = append(nodes, Node{path[len(field):], value})
		}
	}
	return nodes
}

// of is the object as it is written; nil when it is not known.
func (s *Source) of(r *resource.Resource) *written {
	id := r.CurId()
	for _, w := range s.written {
		if w.id().Equals(id) {
			return w
		}
	}
	return nil
}

// Find is the file and line that decides the field of an object: the last document that writes what it has, for a pinned url the
// pin. A field that nobody writes is missing where its parent stands first. Line 0 means that no document is known for the object.
func (s *Source) Find(r *resource.Resource, field []string) (file string, line int) {
	w := s.of(r)
	if w == nil {
		return "", 0
	}
	if len(field) > 0 && field[len(field)-1] == "url" {
		if file, line := w.pin(field, valueAt(r, field)); line > 0 {
			return file, line
		}
	}
	if file, line := w.decides(field, valueAt(r, field)); line > 0 {
		return file, line
	}
	for i := len(field) - 1; i >= 0; i-- {
		for _, d := range w.documents {
			if line := d.lineOf(field[:i]); line > 0 {
				return d.file, line
			}
		}
	}
	return "", 0
}

// decides is the last document that writes the value, or else the last that writes the field: a patch may change a part of it.
func (w *written) decides(field []string, value string) (file string, line int) {
	for _, d := range slices.Backward(w.documents) {
		at := d.lineOf(field)
		if at == 0 {
			continue
		}
		if line == 0 {
			file, line = d.file, at
		}
		if nodes := d.written(field); len(nodes) > 0 && value != "" && nodes[len(nodes)-1].Value == value {
			return d.file, at
		}
	}
	return file, line
}

// valueAt is the field's value where that is a scalar.
func valueAt(r *resource.Resource, field []string) string {
	if n := lookup(r.YNode(), field...); n != nil && n.Kind == yaml.ScalarNode {
		return n.Value
	}
	return ""
}

func (d document) lineOf(field []string) int {
	if !d.operations {
		if key, _ := entry(d.root, field...); key != nil {
			return d.line + key.Line
		}
		return 0
	}
	for _, operation := range slices.Backward(d.root.Content) {
		path, value := operationOf(operation)
		if len(field) == 0 || value == nil || !hasPrefix(field, path) {
			continue
		}
		if rest := field[len(path):]; len(rest) == 0 {
			return d.line + operation.Line
		} else if key, _ := entry(value, rest...); key != nil {
			return d.line + key.Line
		}
	}
	return 0
}

// pin is the images entry that made the object's url of what is written.
func (w *written) pin(field []string, is string) (file string, line int) {
	for _, d := range w.documents {
		for _, url := range d.written(field) {
			for _, i := range w.images {
				if i.name == url.Value && strings.HasPrefix(is, i.newName) && strings.Contains(is, i.digest) {
					file, line = i.file, i.line
				}
			}
		}
	}
	return file, line
}

// addPatches adds the patches of a kustomization to the objects. Who wrote them in place finds them by their line in it.
func (k kustomization) addPatches(objects []*written, load func(path string) ([]*yaml.Node, error)) error {
	patches := slices.Clone(k.Patches)
	for _, p := range k.PatchesStrategicMerge { //nolint:staticcheck // users' trees have them
		if strings.Contains(string(p), "\n") {
			patches = append(patches, types.Patch{Patch: string(p)})
		} else {
			patches = append(patches, types.Patch{Path: string(p)})
		}
	}
	patches = append(patches, k.PatchesJson6902...) //nolint:staticcheck // as above
	for i, p := range patches {
		d := document{file: filepath.Join(k.dir, p.Path), dir: k.dir, index: i}
		var documents []*yaml.Node
		var err error
		if p.Path == "" {
			d.file, d.line = k.file, lineOf(k.content, p.Patch)
			documents, err = parse(d.file, []byte(p.Patch))
		} else {
			documents, err = load(p.Path)
		}
		if err != nil {
			return err
		}
		for _, root := range documents {
			d.root, d.operations = root, root.Kind == yaml.SequenceNode
			if err := patched(objects, d, p.Target); err != nil {
				return err
			}
		}
	}
	return nil
}

// lineOf is the number of lines before the text that stands, indented, in content; 0 when it is not found.
func lineOf(content []byte, text string) int {
	first, _, _ := strings.Cut(strings.TrimLeft(text, "\n"), "\n")
	for i, line := range strings.Split(string(content), "\n") {
		if strings.TrimSpace(line) == strings.TrimSpace(first) {
			return i
		}
	}
	return 0
}

// imagesIn are the lines of the images field.
func imagesIn(file string, documents []*yaml.Node) (all []imageLine) {
	for _, root := range documents {
		images := lookup(root, "images")
		if images == nil {
			continue
		}
		for _, entry := range images.Content {
			text := func(field string) string {
				if n := lookup(entry, field); n != nil {
					return n.Value
				}
				return ""
			}
			all = append(all, imageLine{file, entry.Line, text("name"), text("newName"), text("digest")})
		}
	}
	return all
}
