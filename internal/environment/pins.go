package environment

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/filterimage"
)

// Scheme is how the base names a filter; a pin must replace it. The WasmPlugin CRD refuses it, so what is not pinned fails.
const Scheme = "filter://"

const ociScheme = "oci://"

// Pins are the images of an environment by filter name.
type Pins map[string]filterimage.Ref

// image is an entry of kustomize's images field.
type image struct {
	Name    string `yaml:"name"`
	NewName string `yaml:"newName"`
	NewTag  string `yaml:"newTag"`
	Digest  string `yaml:"digest"`
}

// Pins reads the pins of the environment. A missing file means none.
func (e Environment) Pins() (Pins, error) {
	var doc struct {
		Images []image `yaml:"images"`
	}
	data, err := os.ReadFile(e.PinsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return Pins{}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", e.PinsFile(), err)
	}
	pins := Pins{}
	for _, i := range doc.Images {
		filter, ok := strings.CutPrefix(i.Name, Scheme)
		if !ok {
			continue // an ordinary image of the overlay's own
		}
		if _, twice := pins[filter]; twice {
			return nil, fmt.Errorf("%s: %s is pinned twice. remove one entry", e.PinsFile(), filter)
		}
		repo, ok := strings.CutPrefix(i.NewName, ociScheme)
		if !ok {
			return nil, fmt.Errorf("%s: newName %q of %s: want %shost/path. run promote", e.PinsFile(), i.NewName, filter, ociScheme)
		}
		ref := filterimage.Ref{Repo: repo, Tag: i.NewTag, Digest: i.Digest}
		if _, err := filterimage.ParseRef(ref.String()); err != nil {
			return nil, fmt.Errorf("%s: pin of %s: %w", e.PinsFile(), filter, err)
		}
		pins[filter] = ref
	}
	return pins, nil
}

// WritePins sets the given pins and leaves comments, order and everything else in the file as they are. Only promote calls it.
func (e Environment) WritePins(pins Pins) error {
	data, err := os.ReadFile(e.PinsFile())
	if err != nil {
		return err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("%s: %w", e.PinsFile(), err)
	}
	if doc.Kind != yaml.DocumentNode || doc.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("%s: not a kustomization", e.PinsFile())
	}
	images := field(doc.Content[0], "images")
	if images.Kind != yaml.SequenceNode {
		*images = yaml.Node{Kind: yaml.SequenceNode, HeadComment: images.HeadComment, LineComment: images.LineComment}
	}
	images.Style = 0 // `[]` becomes a block
	for _, filter := range slices.Sorted(maps.Keys(pins)) {
		ref := pins[filter]
		entry := find(images, Scheme+filter)
		for _, kv := range [][2]string{{"name", Scheme + filter}, {"newName", ociScheme + ref.Repo}, {"newTag", ref.Tag}, {"digest", ref.Digest}} {
			v := field(entry, kv[0])
			v.Kind, v.Tag, v.Value, v.Style = yaml.ScalarNode, "!!str", kv[1], 0
		}
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	enc.CompactSeqIndent()
	if err := enc.Encode(&doc); err != nil {
		return err
	}
	return atomicfile.Write(e.PinsFile(), out.Bytes())
}

// field is the value of key in a mapping; it is added when missing.
func field(mapping *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return mapping.Content[i+1]
		}
	}
	value := &yaml.Node{}
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, value)
	return value
}

// find is the entry of images with that name; it is added when missing.
func find(images *yaml.Node, name string) *yaml.Node {
	for _, entry := range images.Content {
		if field(entry, "name").Value == name {
			return entry
		}
	}
	entry := &yaml.Node{Kind: yaml.MappingNode}
	images.Content = append(images.Content, entry)
	return entry
}
