package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Replace gives scalars of a YAML file another text and leaves every other byte as it is. It is asked for each scalar, by the keys that
// lead to it and without the places in lists; a part of the scalar's text is replaced by another, or nothing when the two are equal.
func Replace(content []byte, ask func(keys []string, value string) (old, new string)) ([]byte, error) {
	lines := strings.SplitAfter(string(content), "\n")
	var failed error
	var walk func(n *yaml.Node, keys []string)
	walk = func(n *yaml.Node, keys []string) {
		switch n.Kind {
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(n.Content[i+1], append(keys[:len(keys):len(keys)], n.Content[i].Value))
			}
		case yaml.ScalarNode:
			if old, new := ask(keys, n.Value); old != new && !replaceFrom(lines, n.Line-1, old, new) {
				failed = fmt.Errorf("line %d: %q is not written there as it is read. change it by hand", n.Line, old)
			}
		default:
			for _, child := range n.Content {
				walk(child, keys)
			}
		}
	}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	for {
		var document yaml.Node
		err := dec.Decode(&document)
		if errors.Is(err, io.EOF) {
			return []byte(strings.Join(lines, "")), failed
		}
		if err != nil {
			return nil, err
		}
		walk(&document, nil)
	}
}

// replaceFrom replaces the text in the first line that has it: a scalar begins in its line, and one of several lines goes on below.
func replaceFrom(lines []string, first int, old, new string) bool {
	for i := first; i < len(lines); i++ {
		if strings.Contains(lines[i], old) {
			lines[i] = strings.Replace(lines[i], old, new, 1)
			return true
		}
	}
	return false
}
