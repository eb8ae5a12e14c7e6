package kustomize

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"
)

// Source is what an environment is built of: every document that its kustomizations read, in the order in which kustomize
// applies them. It finds the line that a finding is about.
type Source struct {
	kustomizations []kustomization
	documents      []document
	images         []imageLine

	entry int // of the overlay's resources, that is being read
}

// kustomization is one folder that is built.
type kustomization struct {
	dir, file string
	types.Kustomization
}

// document is an object or a patch of one.
type document struct {
	file       string
	line       int // added to the line of a node: a patch may stand inside a kustomization.yaml
	kind, name string
	root       *yaml.Node
	operations bool // root is a JSON patch: a list of operations

	entry int    // of the overlay's resources, that it belongs to; -1 for what the overlay itself adds
	patch bool   // it changes an object
	dir   string // of a patch: the kustomization that has it
	index int    // of a patch: its place in that kustomization's patches
}

// imageLine is an entry of an images field.
type imageLine struct {
	file, name string
	line       int
}

// add adds the documents of a file.
func (s *Source) add(d document, documents []*yaml.Node, target *types.Selector) {
	for _, root := range documents {
		d := d
		d.root, d.operations, d.entry = root, root.Kind == yaml.SequenceNode, s.entry
		if n := lookup(root, "kind"); n != nil {
			d.kind = n.Value
		}
		if n := lookup(root, "metadata", "name"); n != nil {
			d.name = n.Value
		}
		if target != nil && d.operations {
			d.kind, d.name = target.Kind, target.Name
		}
		s.documents = append(s.documents, d)
	}
}

// addPatches adds the patches of a kustomization. Who wrote them in place finds them by their line in it.
func (s *Source) addPatches(k kustomization, content []byte, load func(path string) ([]*yaml.Node, error)) error {
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
		file, line := filepath.Join(k.dir, p.Path), 0
		var documents []*yaml.Node
		var err error
		if p.Path == "" {
			file, line = k.file, lineOf(content, p.Patch)
			documents, err = parse(file, []byte(p.Patch))
		} else {
			documents, err = load(p.Path)
		}
		if err != nil {
			return err
		}
		s.add(document{file: file, line: line, patch: true, dir: k.dir, index: i}, documents, p.Target)
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

// addImages adds the lines of the images field.
func (s *Source) addImages(file string, documents []*yaml.Node) {
	for _, root := range documents {
		images := lookup(root, "images")
		if images == nil {
			continue
		}
		for _, entry := range images.Content {
			if name := lookup(entry, "name"); name != nil {
				s.images = append(s.images, imageLine{file, name.Value, entry.Line})
			}
		}
	}
}

// lookup follows keys of mappings and indices of sequences; nil when there is no such node.
func lookup(n *yaml.Node, path ...string) *yaml.Node {
	_, value := entry(n, path...)
	return value
}

// entry is lookup, and the node that a reader would point at: the key.
func entry(n *yaml.Node, path ...string) (key, value *yaml.Node) {
	key, value = n, n
	for _, name := range path {
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		var next *yaml.Node
		switch value.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(value.Content); i += 2 {
				if value.Content[i].Value == name {
					key, next = value.Content[i], value.Content[i+1]
				}
			}
		case yaml.SequenceNode:
			if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(value.Content) {
				key, next = value.Content[i], value.Content[i]
			}
		}
		if next == nil {
			return nil, nil
		}
		value = next
	}
	return key, value
}

// Find is the file and line that decides the field of an object: the last document that has the field, for a pinned url the pin.
// A field that nobody writes is missing where its parent stands first. Line 0 means that no document is known for the object.
func (s *Source) Find(kind, name string, field []string) (file string, line int) {
	if len(field) > 0 && field[len(field)-1] == "url" {
		if file, line := s.pin(kind, name, field); line > 0 {
			return file, line
		}
	}
	for i := len(field); i >= 0; i-- {
		for _, d := range s.ordered(i == len(field)) {
			if d.kind != kind || d.name != name {
				continue
			}
			if line := d.lineOf(field[:i]); line > 0 {
				return d.file, line
			}
		}
	}
	return "", 0
}

func (s *Source) ordered(lastFirst bool) []document {
	documents := slices.Clone(s.documents)
	if lastFirst {
		slices.Reverse(documents)
	}
	return documents
}

func (d document) lineOf(field []string) int {
	if !d.operations {
		if key, _ := entry(d.root, field...); key != nil {
			return d.line + key.Line
		}
		return 0
	}
	pointer := "/" + strings.Join(field, "/")
	for _, operation := range d.root.Content {
		if path := lookup(operation, "path"); len(field) > 0 && path != nil && path.Value == pointer {
			return d.line + operation.Line
		}
	}
	return 0
}

// pin is the images entry that replaces the url of the object.
func (s *Source) pin(kind, name string, field []string) (file string, line int) {
	for _, d := range s.documents {
		if d.kind != kind || d.name != name || d.operations {
			continue
		}
		if url := lookup(d.root, field...); url != nil {
			for _, i := range s.images {
				if i.name == url.Value {
					file, line = i.file, i.line
				}
			}
		}
	}
	return file, line
}

// Written are the nodes of a field as the documents of an object write it, in the order in which kustomize applies them.
func (s *Source) Written(kind, name string, field []string) (nodes []*yaml.Node) {
	for _, d := range s.documents {
		if d.kind != kind || d.name != name || d.operations {
			continue
		}
		if n := lookup(d.root, field...); n != nil {
			nodes = append(nodes, n)
		}
	}
	return nodes
}
