package kustomize

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v3"
)

// What a file of manifests may be at most. The parsers below kustomize have limits of their own, of gigabytes and minutes.
const (
	maxFileBytes = 4 << 20
	maxDepth     = 100       // nested collections
	maxNodes     = 1_000_000 // after aliases are followed
)

// readYAML reads a file of the tree. It refuses what would make other readers take minutes or gigabytes: a very large file, deep
// nesting, aliases of aliases. Syntax errors carry file and line.
func readYAML(files Files, path string) (content []byte, documents []*yaml.Node, err error) {
	if content, err = files.Read(path); err != nil {
		return nil, nil, err
	}
	documents, err = parse(path, content)
	return content, documents, err
}

// parse reads the documents of a file; empty ones are left out.
func parse(file string, content []byte) ([]*yaml.Node, error) {
	var documents []*yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(content))
	left := maxNodes
	for {
		var node yaml.Node
		err := dec.Decode(&node)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		if err := measure(&node, 0, &left); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		documents = append(documents, node.Content[0])
	}
}

func measure(n *yaml.Node, depth int, left *int) error {
	*left--
	switch {
	case depth > maxDepth:
		return fmt.Errorf("collections are nested deeper than %d. flatten them", maxDepth)
	case *left < 0:
		return fmt.Errorf("more than %d values, aliases counted at each use. write less", maxNodes)
	}
	if n.Kind == yaml.MappingNode {
		lines := map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if first, twice := lines[key.Value]; twice && key.Kind == yaml.ScalarNode && key.Value != "<<" {
				return fmt.Errorf("line %d: key %q is also in line %d: readers take one of the two, and not all the same. remove one", key.Line, key.Value, first)
			}
			lines[key.Value] = key.Line
		}
	}
	if n.Kind == yaml.AliasNode {
		return measure(n.Alias, depth+1, left)
	}
	for _, child := range n.Content {
		if err := measure(child, depth+1, left); err != nil {
			return err
		}
	}
	return nil
}
