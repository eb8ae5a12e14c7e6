package manifests

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// ModuleFacts is what is true of a pinned module. An environment may pin an older one than today's sources make, so this stands beside
// its digest: what an EnvoyFilter must allow, say, is what that module uses.
type ModuleFacts struct {
	Filter        string            `yaml:"filter"`
	Phases        []string          `yaml:"phases,flow"`
	Callouts      []catalog.Callout `yaml:"callouts,omitempty,flow"`
	Capabilities  []string          `yaml:"capabilities,flow"`
	StopIteration string            `yaml:"stopIteration,omitempty"`
}

// FactsOf are those of what a filter's sources build.
func FactsOf(f catalog.Filter) ModuleFacts {
	return ModuleFacts{f.Name, f.Phases, f.Callouts, f.Capabilities, f.StopIteration}
}

// factsFile is the content of the file, by the digest of the image.
type factsFile struct {
	Modules map[string]ModuleFacts `yaml:"modules"`
}

const factsHead = "# What is true of the pinned modules, by the digest of their image. Written by promote with the pins.\n"

// FactsFile is where the facts stand.
func (e Environment) FactsFile() string { return filepath.Join(e.Dir, "digests", "modules.yaml") }

// Facts are those of the pinned modules, by digest. A pin that was written by other means has none: then today's sources are asked.
func (e Environment) Facts() (map[string]ModuleFacts, error) {
	data, err := e.files.Read(e.FactsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var f factsFile
	if err := yaml.Unmarshal(data, &f); err != nil {
		return nil, cli.Finding("%s: %w", e.FactsFile(), err)
	}
	return f.Modules, nil
}

// WithFacts is the environment with these facts beside those that it has, in memory.
func (e Environment) WithFacts(facts map[string]ModuleFacts) (Environment, error) {
	all, err := e.Facts()
	if err != nil || len(facts) == 0 {
		return e, err
	}
	next := maps.Clone(facts)
	for digest, f := range all {
		if _, ok := next[digest]; !ok {
			next[digest] = f
		}
	}
	return e.writeFacts(next)
}

// pinnedFacts is the environment without the facts of modules that it does not pin any more.
func (e Environment) pinnedFacts() (Environment, error) {
	facts, err := e.Facts()
	if err != nil || facts == nil {
		return e, err
	}
	pins, err := e.AllPins()
	if err != nil {
		return e, err
	}
	kept := map[string]ModuleFacts{}
	for _, f := range pins {
		for _, ref := range f.Pins {
			if known, ok := facts[ref.Digest]; ok {
				kept[ref.Digest] = known
			}
		}
	}
	if len(kept) == len(facts) {
		return e, nil
	}
	return e.writeFacts(kept)
}

func (e Environment) writeFacts(facts map[string]ModuleFacts) (Environment, error) {
	text, err := yaml.Marshal(factsFile{facts})
	if err != nil {
		return e, err
	}
	return e.With(e.FactsFile(), append([]byte(factsHead), text...))
}

// withFacts is a filter as the pinned module is: what the sources say where nothing stands beside the pin.
func withFacts(filter *catalog.Filter, facts ModuleFacts, known bool) *catalog.Filter {
	if !known {
		return filter
	}
	f := catalog.Filter{Name: facts.Filter}
	if filter != nil {
		f = *filter
	}
	f.Phases, f.Callouts, f.Capabilities, f.StopIteration = slices.Clone(facts.Phases), facts.Callouts, facts.Capabilities, facts.StopIteration
	return &f
}
