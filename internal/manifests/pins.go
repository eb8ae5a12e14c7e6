package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/kustomize"
)

// Scheme is how the base names a filter; a pin must replace it. The WasmPlugin CRD refuses it, so what is not pinned fails.
const Scheme = "filter://"

const ociScheme = "oci://"

// Pins are the images of an environment by filter name.
type Pins map[string]image.Ref

// imageEntry is an entry of kustomize's images field.
type imageEntry struct {
	Name    string `yaml:"name"`
	NewName string `yaml:"newName"`
	NewTag  string `yaml:"newTag"`
	Digest  string `yaml:"digest"`
}

// Pins reads the pins of the environment. A missing file means none; what is wrong in it is a finding.
func (e Environment) Pins() (Pins, error) {
	var doc struct {
		Images []imageEntry `yaml:"images"`
	}
	data, err := e.files.Read(e.PinsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return Pins{}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, cli.Finding("%s: %w", e.PinsFile(), err)
	}
	pins := Pins{}
	for _, i := range doc.Images {
		filter, ok := strings.CutPrefix(i.Name, Scheme)
		if !ok {
			continue // an ordinary image of the overlay's own
		}
		if _, twice := pins[filter]; twice {
			return nil, cli.Finding("%s: %s is pinned twice. remove one entry", e.PinsFile(), filter)
		}
		repo, ok := strings.CutPrefix(i.NewName, ociScheme)
		if !ok {
			return nil, cli.Finding("%s: newName %q of %s: want %shost/path. run promote", e.PinsFile(), i.NewName, filter, ociScheme)
		}
		ref := image.Ref{Repo: repo, Tag: i.NewTag, Digest: i.Digest}
		if _, err := image.ParseRef(ref.String()); err != nil {
			return nil, cli.Finding("%s: pin of %s: %w", e.PinsFile(), filter, err)
		}
		pins[filter] = ref
	}
	return pins, nil
}

// unsaved is the content of a pins file that is not written yet, and what it was made from.
type unsaved struct{ before, after []byte }

// WithPins is the environment with these pins set, in memory: what is built of it has them. Save writes them.
func (e Environment) WithPins(pins Pins) (Environment, error) {
	before, err := e.files.Read(e.PinsFile())
	if err != nil {
		return e, err
	}
	after, err := setPins(before, pins)
	if err != nil {
		return e, cli.Finding("%s: %w", e.PinsFile(), err)
	}
	if e.files, err = e.files.With(e.PinsFile(), after); err != nil {
		return e, err
	}
	e.unsaved = &unsaved{before, after}
	return e, nil
}

// Changed reports whether WithPins has changed a pin.
func (e Environment) Changed() bool {
	return e.unsaved != nil && !bytes.Equal(e.unsaved.before, e.unsaved.after)
}

// Save writes the pins that WithPins has set, unless somebody changed the file meanwhile. Who calls it holds the lock. Nothing else
// writes pins.
func (e Environment) Save() error {
	if e.unsaved == nil {
		return nil
	}
	now, err := kustomize.OnDisk().Read(e.PinsFile())
	if err != nil {
		return err
	}
	if !bytes.Equal(now, e.unsaved.before) {
		return fmt.Errorf("%s changed while promote worked. nothing was written; run promote again", e.PinsFile())
	}
	return atomicfile.Write(e.PinsFile(), e.unsaved.after)
}

// setPins sets the given pins and leaves comments, order and everything else in the file as they are.
func setPins(content []byte, pins Pins) ([]byte, error) {
	doc, err := yaml.Parse(string(content))
	if err != nil {
		return nil, err
	}
	if doc.YNode().Kind != yaml.MappingNode {
		return nil, errors.New("not a kustomization")
	}
	images, err := doc.Pipe(yaml.Lookup("images"))
	if err != nil {
		return nil, err
	}
	if images == nil || images.YNode().Kind != yaml.SequenceNode {
		if err := doc.PipeE(yaml.SetField("images", yaml.NewListRNode())); err != nil {
			return nil, err
		}
		images = doc.Field("images").Value
	}
	images.YNode().Style = 0 // `[]` becomes a block
	for _, filter := range slices.Sorted(maps.Keys(pins)) {
		ref := pins[filter]
		entry, err := images.Pipe(yaml.MatchElement("name", Scheme+filter))
		if err != nil {
			return nil, err
		}
		if entry == nil {
			entry = yaml.NewMapRNode(nil)
			if err := images.PipeE(yaml.Append(entry.YNode())); err != nil {
				return nil, err
			}
		}
		for _, field := range [][2]string{{"name", Scheme + filter}, {"newName", ociScheme + ref.Repo}, {"newTag", ref.Tag}, {"digest", ref.Digest}} {
			if err := setText(entry, field[0], field[1]); err != nil {
				return nil, err
			}
		}
	}
	text, err := doc.String()
	return []byte(text), err
}

// setText sets a field and leaves the comment of one that is there.
func setText(entry *yaml.RNode, name, value string) error {
	field := entry.Field(name)
	if field.IsNilOrEmpty() {
		return entry.PipeE(yaml.SetField(name, yaml.NewStringRNode(value)))
	}
	n := field.Value.YNode()
	n.Kind, n.Tag, n.Value, n.Style = yaml.ScalarNode, yaml.NodeTagString, value, 0
	return nil
}
