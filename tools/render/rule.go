package main

import (
	"fmt"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/environment"
	"github.com/wasmfleet/wasmfleet/internal/envoyconfig"
	"github.com/wasmfleet/wasmfleet/internal/filterimage"
)

// rule is one check on the rendered plugins of an environment, in a file of its own: rule_<name>.go, with fixtures in
// testdata/rules/<name>*.
type rule struct {
	name  string // shown in brackets after each finding, and the key under allow in environment.yaml
	about string // what it wants and why, in a sentence
	check func(t *tree, found func(p plugin, format string, args ...any))
}

// rules is the catalogue.
var rules = []rule{
	ruleCallout,
	ruleDigest,
	ruleExplicit,
	ruleFailOpen,
	ruleIstioVersion,
	ruleOrder,
	rulePhase,
	ruleSelector,
	ruleSharedVM,
	ruleTokenExposure,
}

// tree is what the rules see: one environment after kustomize.
type tree struct {
	env     environment.Environment
	objects []object
	plugins []plugin // in the order of the filter chain
}

// plugin is a WasmPlugin, decoded, as it was rendered, and the filter that it deploys.
type plugin struct {
	*envoyconfig.Plugin
	object object
	filter *catalog.Filter // nil for an image that no filter of this repository makes
}

func newTree(env environment.Environment, objects []object, filters []catalog.Filter) (*tree, error) {
	files := map[string][]byte{}
	byFile := map[string]object{}
	for _, o := range objects {
		files[o.file], byFile[o.file] = o.yaml, o
	}
	decoded, err := envoyconfig.Plugins(files)
	if err != nil {
		return nil, err
	}
	t := &tree{env: env, objects: objects}
	for _, d := range decoded {
		p := plugin{Plugin: d, object: byFile[d.File]}
		for i := range filters {
			if filters[i].Name == filterOf(d.Spec.Url) {
				p.filter = &filters[i]
			}
		}
		t.plugins = append(t.plugins, p)
	}
	return t, nil
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
	v, err := p.object.GetFieldValue("spec." + field)
	return err == nil && v != nil
}

// finding is one thing that is wrong: where, which object, what, and what to do.
type finding struct {
	File    string `json:"file"`
	Object  string `json:"object"`
	Message string `json:"message"`
	Rule    string `json:"rule"`
	Allowed string `json:"allowed,omitempty"` // the reason that environment.yaml gives; such a finding does not fail
}

func (f finding) String() string {
	s := fmt.Sprintf("%s: %s: %s [%s]", f.File, f.Object, f.Message, f.Rule)
	if f.Allowed != "" {
		s += " allowed: " + f.Allowed
	}
	return s
}

// lint applies every rule.
func lint(t *tree) ([]finding, error) {
	var findings []finding
	known := map[string]bool{}
	for _, r := range rules {
		known[r.name] = true
		r.check(t, func(p plugin, format string, args ...any) {
			findings = append(findings, finding{t.env.Dir, fmt.Sprintf("%s %q", p.Kind, p.Name), fmt.Sprintf(format, args...), r.name, t.env.Allow[r.name]})
		})
	}
	for name := range t.env.Allow {
		if !known[name] {
			return nil, fmt.Errorf("%s: allow: unknown rule %q. \"render --rules\" lists them", environment.File, name)
		}
	}
	return findings, nil
}
