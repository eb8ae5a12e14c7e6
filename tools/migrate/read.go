package migrate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// object is one of the input, and where it stands.
type object struct {
	place string // file:line
	yaml  []byte
	head
	content map[string]any
}

// head is what every object has.
type head struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
}

// String names the object in messages.
func (o object) String() string {
	return fmt.Sprintf("%s %q", o.Kind, strings.TrimPrefix(o.Metadata.Namespace+"/"+o.Metadata.Name, "/"))
}

// readObjects reads a file, the files of a folder, or stdin. A List is its items.
func readObjects(from string) (all []object, err error) {
	if from == "-" {
		data, err := io.ReadAll(os.Stdin)
		if err != nil {
			return nil, err
		}
		return documents("stdin", data)
	}
	info, err := os.Stat(from)
	if err != nil {
		return nil, err
	}
	files := []string{from}
	if info.IsDir() {
		files = nil
		err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
			if ext := filepath.Ext(path); err == nil && !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, ext) {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		objects, err := documents(file, data)
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

func documents(file string, data []byte) (all []object, err error) {
	dec := yamlv3.NewDecoder(bytes.NewReader(data))
	for {
		var doc yamlv3.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, cli.Finding("%s: %w", file, err)
		}
		if len(doc.Content) == 0 || doc.Content[0].Kind != yamlv3.MappingNode {
			continue // an empty document, or no object
		}
		objects, err := expand(file, doc.Content[0])
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
}

func expand(file string, n *yamlv3.Node) ([]object, error) {
	place := fmt.Sprintf("%s:%d", file, n.Line)
	text, err := yamlv3.Marshal(n)
	if err != nil {
		return nil, cli.Finding("%s: %w", place, err)
	}
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		return nil, cli.Finding("%s: %w", place, err)
	}
	o := object{place: place, yaml: text}
	if err := utiljson.Unmarshal(data, &o.content); err != nil {
		return nil, cli.Finding("%s: %w", place, err)
	}
	if err := yaml.Unmarshal(text, &o.head); err != nil {
		return nil, cli.Finding("%s: %w", place, err)
	}
	if !strings.HasSuffix(o.Kind, "List") {
		return []object{o}, nil
	}
	var all []object
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "items" {
			continue
		}
		for _, item := range n.Content[i+1].Content {
			objects, err := expand(file, item)
			if err != nil {
				return nil, err
			}
			all = append(all, objects...)
		}
	}
	return all, nil
}

// at is a value below a map, by any of the names that each field has had; nil when there is none.
func at(v any, path ...string) any {
	for _, names := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = nil
		for name := range strings.SplitSeq(names, "|") {
			if found, ok := m[name]; ok {
				v = found
			}
		}
	}
	return v
}

func textAt(v any, path ...string) string {
	s, _ := at(v, path...).(string)
	return s
}

func listAt(v any, path ...string) []any {
	l, _ := at(v, path...).([]any)
	return l
}

func labelsAt(v any, path ...string) map[string]string {
	m, _ := at(v, path...).(map[string]any)
	if len(m) == 0 {
		return nil
	}
	labels := map[string]string{}
	for k, v := range m {
		labels[k] = fmt.Sprint(v)
	}
	return labels
}
