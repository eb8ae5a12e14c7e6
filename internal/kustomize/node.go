package kustomize

import (
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
)

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

// operationOf is where an operation of a JSON patch (RFC 6902) writes, and what; the value is nil when it writes nothing.
func operationOf(operation *yaml.Node) (path []string, value *yaml.Node) {
	op, at := lookup(operation, "op"), lookup(operation, "path")
	if op == nil || at == nil || op.Value != "add" && op.Value != "replace" {
		return nil, nil
	}
	for token := range jsontext.Pointer(at.Value).Tokens() {
		path = append(path, token)
	}
	return path, lookup(operation, "value")
}

func hasPrefix(path, prefix []string) bool {
	return len(path) >= len(prefix) && slices.Equal(path[:len(prefix)], prefix)
}
