package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/environment"
	"github.com/wasmfleet/wasmfleet/internal/envoyconfig"
	"github.com/wasmfleet/wasmfleet/internal/filterimage"
)

// rule is one check on the rendered plugins of an environment, in a file of its own: rule_<name>.go, with fixtures in
// testdata/rules/<name>*.
type rule struct {
	name    string // shown in brackets after each finding, and the key under allow in environment.yaml
	about   string // what it wants and why, in a sentence
	example string // what it finds, for --rules
	check   func(t *tree, found report)
}

// report makes a finding at a place.
type report func(at place, format string, args ...any)

// place is a field of an object, or with no field the object.
type place struct {
	object object
	field  []string
}

func (o object) at(field ...string) place { return place{o, field} }

// at is a field of the plugin, by its name in a WasmPlugin.
func (p plugin) at(field ...string) place { return p.object.at(p.path(field...)...) }

// path is where the field stands in the object: a TrafficExtension has what belongs to the module one level deeper.
func (p plugin) path(field ...string) []string {
	if p.Kind == environment.TrafficExtension && len(field) > 0 && !slices.Contains(outsideWasm, field[0]) {
		field = append([]string{"wasm"}, field...)
	}
	return append([]string{"spec"}, field...)
}

var outsideWasm = []string{"selector", "targetRefs", "phase", "priority", "match"}

// rules is the catalogue.
var rules = []rule{
	ruleAPI,
	ruleCallout,
	ruleCollision,
	ruleDigest,
	ruleExplicit,
	ruleFailOpen,
	ruleIgnored,
	ruleIstioVersion,
	ruleLabel,
	ruleMatch,
	ruleOrder,
	rulePhase,
	rulePullSecret,
	ruleSchema,
	ruleSecret,
	ruleSelector,
	ruleSharedVM,
	ruleTokenExposure,
	ruleTwice,
	ruleURL,
	ruleYAML,
}

// tree is what the rules see: one environment after kustomize.
type tree struct {
	env      environment.Environment
	source   *source
	objects  []object // as kustomize makes them
	rendered []object // as the cluster gets them: in the API of the environment
	plugins  []plugin // in the order of the filter chain
	pins     environment.Pins

	undecoded error // why there are no plugins
}

// plugin is a WasmPlugin or TrafficExtension, decoded, and the filter that it deploys.
type plugin struct {
	*envoyconfig.Plugin
	object object
	filter *catalog.Filter // nil for an image that no filter of this repository makes
}

func newTree(env environment.Environment, objects []object, source *source, filters []catalog.Filter) (*tree, error) {
	files := map[string][]byte{}
	byFile := map[string]object{}
	for _, o := range objects {
		files[o.file], byFile[o.file] = o.yaml, o
	}
	pins, err := env.Pins()
	if err != nil {
		return nil, err
	}
	t := &tree{env: env, source: source, objects: objects, rendered: objects, pins: pins}
	decoded, err := envoyconfig.Plugins(files)
	if err != nil {
		t.undecoded = err
		return t, nil
	}
	for _, d := range decoded {
		if d.Kind == environment.EnvoyFilter {
			continue // written by hand: render makes them later
		}
		p := plugin{Plugin: d, object: byFile[d.File]}
		for i := range filters {
			if filters[i].Name == filterOf(d.Spec.Url) {
				p.filter = &filters[i]
			}
		}
		t.plugins = append(t.plugins, p)
	}
	t.rendered, err = project(t)
	return t, err
}

// filterOf is the name of the filter in a url, pinned or not.
func filterOf(url string) string {
	if name, ok := strings.CutPrefix(url, environment.Scheme); ok {
		return name
	}
	ref, err := filterimage.ParseRef(strings.TrimPrefix(url, "oci://"))
	if err != nil {
		return ""
	}
	return ref.Filter()
}

// written reports whether the object sets the field of its spec, whatever to.
func (p plugin) written(field string) bool {
	v, err := p.object.GetFieldValue(strings.Join(p.path(field), "."))
	return err == nil && v != nil
}

// finding is one thing that is wrong: where, which object, what, and what to do.
type finding struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"` // of the source that decides it; 0 when no line is known
	Object  string `json:"object"`
	Message string `json:"message"`
	Rule    string `json:"rule"`
	Allowed string `json:"allowed,omitempty"` // the reason that environment.yaml gives; such a finding does not fail
}

func (f finding) String() string {
	at := f.File
	if f.Line > 0 {
		at = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	s := fmt.Sprintf("%s: %s: %s [%s]", at, f.Object, f.Message, f.Rule)
	if f.Allowed != "" {
		s += " allowed: " + f.Allowed
	}
	return s
}

// finding is what a rule says of a place.
func (t *tree) finding(rule string, at place, format string, args ...any) finding {
	o := at.object
	f := finding{File: t.env.Dir, Object: fmt.Sprintf("%s %q", o.GetKind(), o.GetName()), Message: fmt.Sprintf(format, args...), Rule: rule, Allowed: t.env.Allow[rule]}
	if file, line := t.source.find(o.OrgId().Kind, o.OrgId().Name, at.field); line > 0 {
		f.File, f.Line = file, line
	}
	return f
}

// lint applies every rule.
func lint(t *tree) ([]finding, error) {
	var findings []finding
	known := map[string]bool{}
	for _, r := range rules {
		known[r.name] = true
		if t.undecoded != nil && r.name != ruleSchema.name {
			continue // the schema rule knows the line
		}
		r.check(t, func(at place, format string, args ...any) {
			findings = append(findings, t.finding(r.name, at, format, args...))
		})
	}
	if t.undecoded != nil && len(findings) == 0 {
		return nil, fmt.Errorf("%s: %w", t.env.Dir, t.undecoded)
	}
	for name := range t.env.Allow {
		if !known[name] {
			return nil, fmt.Errorf("%s: allow: unknown rule %q. \"render --rules\" lists them", filepath.Join(t.env.Dir, environment.File), name)
		}
	}
	return findings, nil
}
