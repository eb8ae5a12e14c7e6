package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
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

// FilePins are the pins of one file.
type FilePins struct {
	File string
	Pins Pins
}

// Pins reads the pins of the environment. A missing file means none; what is wrong in it is a finding.
func (e Environment) Pins() (Pins, error) { return e.pinsIn(e.PinsFile()) }

// AllPins are the pins of the environment, and those of folders of it that have pins of their own, by file.
func (e Environment) AllPins() (all []FilePins, err error) {
	for _, file := range e.pinsFiles() {
		pins, err := e.pinsIn(file)
		if err != nil {
			return nil, err
		}
		all = append(all, FilePins{file, pins})
	}
	return all, nil
}

func (e Environment) pinsFiles() []string {
	nested, _ := filepath.Glob(filepath.Join(e.Dir, "*", "digests", "kustomization.yaml"))
	return append([]string{e.PinsFile()}, nested...)
}

func (e Environment) pinsIn(file string) (Pins, error) {
	data, err := e.files.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return Pins{}, nil
	}
	if err != nil {
		return nil, err
	}
	return ParsePins(file, data)
}

// ParsePins reads the pins from the content of a file; what is wrong in it is a finding.
func ParsePins(file string, data []byte) (Pins, error) {
	var doc struct {
		Images []imageEntry `yaml:"images"`
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, cli.Finding("%s: %w", file, err)
	}
	pins := Pins{}
	for _, i := range doc.Images {
		filter, ok := strings.CutPrefix(i.Name, Scheme)
		if !ok {
			continue // an ordinary image of the overlay's own
		}
		if _, twice := pins[filter]; twice {
			return nil, cli.Finding("%s: %s is pinned twice. remove one entry", file, filter)
		}
		repo, ok := strings.CutPrefix(i.NewName, ociScheme)
		if !ok {
			return nil, cli.Finding("%s: newName %q of %s: want %shost/path. run promote", file, i.NewName, filter, ociScheme)
		}
		ref := image.Ref{Repo: repo, Tag: i.NewTag, Digest: i.Digest}
		if _, err := image.ParseRef(ref.String()); err != nil {
			return nil, cli.Finding("%s: pin of %s: %w", file, filter, err)
		}
		pins[filter] = ref
	}
	return pins, nil
}

// unsaved is the content of a file that is not written yet, and what it was made from.
type unsaved struct {
	file          string
	before, after []byte
}

// WithPins is the environment with these pins set, in memory: what is built of it has them. A folder with pins of its own follows in
// the filters that it pins. Save writes them.
func (e Environment) WithPins(pins Pins) (Environment, error) {
	return e.editPins(func(file string, content []byte, has Pins) ([]byte, error) {
		if file != e.PinsFile() {
			own := Pins{}
			for filter, ref := range pins {
				if _, ok := has[filter]; ok {
					own[filter] = ref
				}
			}
			return setPins(content, own)
		}
		return setPins(content, pins)
	})
}

// WithoutPins is the environment without pins of these filters, in memory.
func (e Environment) WithoutPins(filters ...string) (Environment, error) {
	return e.editPins(func(_ string, content []byte, _ Pins) ([]byte, error) { return removePins(content, filters) })
}

func (e Environment) editPins(edit func(file string, content []byte, has Pins) ([]byte, error)) (Environment, error) {
	all, err := e.AllPins()
	if err != nil {
		return e, err
	}
	for _, f := range all {
		content, err := e.files.Read(f.File)
		if err != nil {
			return e, err
		}
		after, err := edit(f.File, content, f.Pins)
		if err != nil {
			return e, cli.Finding("%s: %w", f.File, err)
		}
		if e, err = e.With(f.File, after); err != nil {
			return e, err
		}
	}
	return e.pinnedFacts()
}

// Read is the content of a file of the tree, with what is changed in memory.
func (e Environment) Read(file string) ([]byte, error) { return e.files.Read(file) }

// With is the environment with other content in a file of the tree, or with a new file, in memory.
func (e Environment) With(file string, after []byte) (Environment, error) {
	before, err := e.files.Read(file)
	if errors.Is(err, fs.ErrNotExist) {
		before, err = nil, nil
	}
	if err != nil || bytes.Equal(before, after) {
		return e, err
	}
	if e.files, err = e.files.With(file, after); err != nil {
		return e, err
	}
	e.unsaved = slices.Clone(e.unsaved)
	for i, u := range e.unsaved {
		if u.file == file {
			e.unsaved[i].after = after
			return e, nil
		}
	}
	e.unsaved = append(e.unsaved, unsaved{file, before, after})
	return e, nil
}

// Changed are the files that are changed in memory.
func (e Environment) Changed() (files []string) {
	for _, u := range e.unsaved {
		files = append(files, u.file)
	}
	return files
}

// Save writes the files that are changed in memory, unless somebody changed one meanwhile. Who calls it holds the lock. Nothing else
// writes pins.
func (e Environment) Save() error {
	for _, u := range e.unsaved {
		now, err := kustomize.OnDisk().Read(u.file)
		if err != nil && (u.before != nil || !errors.Is(err, fs.ErrNotExist)) {
			return err
		}
		if !bytes.Equal(now, u.before) {
			return fmt.Errorf("%s changed while this command worked. nothing was written; run it again", u.file)
		}
	}
	for _, u := range e.unsaved {
		if err := atomicfile.Write(u.file, u.after); err != nil {
			return err
		}
	}
	return nil
}

// removePins removes the entries of these filters.
func removePins(content []byte, filters []string) ([]byte, error) {
	doc, err := yaml.Parse(string(content))
	if err != nil {
		return nil, err
	}
	images, err := doc.Pipe(yaml.Lookup("images"))
	if err != nil || images == nil {
		return content, err
	}
	before := len(images.Content())
	for _, filter := range filters {
		if _, err := images.Pipe(yaml.ElementSetter{Keys: []string{"name"}, Values: []string{Scheme + filter}}); err != nil {
			return nil, err
		}
	}
	if len(images.Content()) == before {
		return content, nil
	}
	text, err := doc.String()
	return []byte(text), err
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
