package manifests

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// Canary is another version of a filter for a share of the requests, as an EnvoyFilter among the objects says it.
type Canary struct {
	*plugin.Canary
	Stable Plugin
	Object Object // the EnvoyFilter
	Err    error  // why it cannot be read, or has no stable object; nothing else is set then but Object
}

// Filter is the name of the filter.
func (c Canary) Filter() string { return FilterOf(c.Stable.Spec.Url) }

// Canaries are those among the objects.
func (r *Result) Canaries() (all []Canary) {
	for _, o := range r.Objects {
		kind, name, ok := plugin.CanaryOf(o.GetAnnotations())
		if !ok || o.GetKind() != plugin.EnvoyFilter.Kind {
			continue
		}
		c := Canary{Object: o, Err: fmt.Errorf("there is no %s %q in namespace %q: it is the canary of nothing", kind, name, o.GetNamespace())}
		for _, p := range r.Plugins {
			if p.Kind == kind && p.Name == name && p.Namespace == o.GetNamespace() {
				c.Stable = p
				c.Canary, c.Err = readCanary(p, o)
			}
		}
		all = append(all, c)
	}
	return all
}

func readCanary(stable Plugin, o Object) (*plugin.Canary, error) {
	spec, err := o.Spec()
	if err != nil {
		return nil, err
	}
	return plugin.ReadCanary(stable.Plugin, o.GetAnnotations(), spec)
}

// Mesh is what of the environment decides what istiod calls a filter.
func (e Environment) Mesh() plugin.Mesh { return plugin.Mesh{Istio: e.Istio, API: e.API} }

// CanaryFile is where the canary of a filter is written, beside the overlay.
func (e Environment) CanaryFile(filter string) string {
	return filepath.Join(e.Dir, "canary-"+filter+".yaml")
}

// WithCanary is the environment with these objects as the canary of a filter, in memory: a file of its own, and its line in the overlay.
func (e Environment) WithCanary(filter string, content []byte) (Environment, error) {
	file := e.CanaryFile(filter)
	_, err := e.files.Read(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return e, err
	}
	isNew := err != nil
	next, err := e.With(file, content)
	if err != nil || !isNew {
		return next, err
	}
	return next.editOverlay(e.Overlay(), func(lines []string, doc *yaml.Node) ([]string, error) {
		return withResource(lines, doc, filepath.Base(file))
	})
}

// WithoutCanary is the environment without the line of a filter's canary, in memory. The file is for the caller to remove.
func (e Environment) WithoutCanary(filter string) (Environment, error) {
	return e.editOverlay(e.Overlay(), func(lines []string, doc *yaml.Node) ([]string, error) {
		resources := value(doc, "resources")
		if resources == nil || resources.Style == yaml.FlowStyle {
			return nil, fmt.Errorf("resources is no list of lines. take canary-%s.yaml out by hand", filter)
		}
		var gone []*yaml.Node
		for _, item := range resources.Content {
			if item.Value == filepath.Base(e.CanaryFile(filter)) {
				gone = append(gone, item)
			}
		}
		return withoutNodes(lines, doc, gone), nil
	})
}

// withResource are the lines with one more entry at the end of resources.
func withResource(lines []string, doc *yaml.Node, entry string) ([]string, error) {
	resources := value(doc, "resources")
	line := "- " + entry + "\n"
	switch {
	case resources == nil:
		if last := len(lines) - 1; last >= 0 && lines[last] != "" && !strings.HasSuffix(lines[last], "\n") {
			lines[last] += "\n"
		}
		return append(lines, "resources:\n", line), nil
	case resources.Tag == "!!null":
		return slices.Insert(lines, resources.Line, line), nil
	case resources.Kind == yaml.SequenceNode && len(resources.Content) == 0:
		at := resources.Line - 1
		lines[at] = strings.Replace(lines[at], " []", "", 1)
		return slices.Insert(lines, at+1, line), nil
	}
	if resources.Kind != yaml.SequenceNode || resources.Style == yaml.FlowStyle {
		return nil, fmt.Errorf("resources is no list of lines. add %q to it by hand", "- "+entry)
	}
	last := resources.Content[len(resources.Content)-1]
	return slices.Insert(lines, last.Line, strings.Repeat(" ", max(0, last.Column-3))+line), nil
}
