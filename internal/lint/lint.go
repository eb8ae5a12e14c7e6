// Package lint applies the rules to what an environment is rendered to. Each rule is a file, listed below.
package lint

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// Rule is one check on the result of an environment, in a file of its own: rule_<name>.go, with fixtures in testdata/<name>*.
type Rule struct {
	Name    string `json:"name"`    // shown in brackets after each finding, and the key under allow in environment.yaml
	About   string `json:"about"`   // what it wants and why, in a sentence
	Example string `json:"example"` // what it finds
	check   func(r *manifests.Result, found report)
}

// report makes a finding at a place.
type report func(at Place, format string, args ...any)

// Rules is the catalogue.
var Rules = []Rule{
	ruleAmbiguousYAML,
	ruleAPI,
	ruleCallout,
	ruleCanary,
	ruleCollision,
	ruleDigest,
	ruleDuplicateFilter,
	ruleEnvoyFilter,
	ruleExplicit,
	ruleFailOpen,
	ruleGatewayMode,
	ruleIstioVersion,
	ruleLabel,
	ruleNamespace,
	ruleOrder,
	rulePhase,
	rulePinned,
	ruleProject,
	rulePullSecret,
	ruleSchema,
	ruleSecret,
	ruleSelector,
	ruleSharedVM,
	ruleStopIteration,
	ruleTokenExposure,
	ruleTokenScope,
	ruleURL,
	ruleVerificationKey,
}

// renamed are names that rules had before.
var renamed = map[string]string{"ignored": "verification-key", "match": "gateway-mode", "twice": "duplicate-filter", "yaml": "ambiguous-yaml"}

// Place is a field of an object, or with no field the object.
type Place struct {
	object manifests.Object
	field  []string
}

// at is a field of the plugin, by its name in a WasmPlugin.
func at(p manifests.Plugin, field ...string) Place { return Place{p.Object, p.API().Path(field...)} }

func atObject(o manifests.Object, field ...string) Place { return Place{o, field} }

// Finding is one thing that is wrong: where, which object, what, and what to do.
type Finding struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"` // of the source that decides it; 0 when no line is known
	Object  string `json:"object"`
	Message string `json:"message"`
	Rule    string `json:"rule"`
	Allowed string `json:"allowed,omitempty"` // the reason that environment.yaml gives; such a finding does not fail
}

func (f Finding) String() string {
	at := f.File + ": line unknown"
	if f.Line > 0 {
		at = fmt.Sprintf("%s:%d", f.File, f.Line)
	}
	s := fmt.Sprintf("%s: %s: %s [%s]", at, f.Object, f.Message, f.Rule)
	if f.Allowed != "" {
		s += " allowed: " + f.Allowed
	}
	return s
}

// Failing reports whether one of the findings is not allowed.
func Failing(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Allowed == "" })
}

// Check applies every rule. The findings are in the order of files, lines and rules. That a rule is allowed which does not exist is an
// error; the hint says of a name that it is an old one.
func Check(r *manifests.Result) (findings []Finding, hints []string, err error) {
	allowed, hints, err := allowances(r.Env)
	if err != nil {
		return nil, nil, err
	}
	for _, rule := range Rules {
		if r.Undecoded != nil && rule.Name != ruleSchema.Name {
			continue // the schema rule knows the line
		}
		rule.check(r, func(at Place, format string, args ...any) {
			f := At(r, rule.Name, at, format, args...)
			for _, a := range allowed {
				if a.Rule == rule.Name && a.Allows(at.object.GetNamespace(), at.object.GetName()) {
					f.Allowed = a.Reason
				}
			}
			findings = append(findings, f)
		})
	}
	if r.Undecoded != nil && len(findings) == 0 {
		return nil, nil, cli.Finding("%s: %w", r.Env.Dir, r.Undecoded)
	}
	Sort(findings)
	return findings, hints, nil
}

// Sort puts findings into the order of files, lines and rules.
func Sort(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
}

// AtField is what a check beside the rules says of a field of a plugin, by its name in a WasmPlugin.
func AtField(r *manifests.Result, rule string, p manifests.Plugin, field []string, format string, args ...any) Finding {
	return At(r, rule, at(p, field...), format, args...)
}

// At is a finding at a place.
func At(r *manifests.Result, rule string, at Place, format string, args ...any) Finding {
	o := at.object
	name := o.GetName()
	if r.SeveralNamespaces() && o.GetNamespace() != "" {
		name = o.GetNamespace() + "/" + name
	}
	f := Finding{File: r.Env.Dir, Object: fmt.Sprintf("%s %q", o.GetKind(), name), Message: fmt.Sprintf(format, args...), Rule: rule}
	if file, line := r.Source.Find(o.Resource, at.field); line > 0 {
		f.File, f.Line = file, line
	}
	return f
}

// allowances are those of the environment, by the rules' names of today.
func allowances(env manifests.Environment) (all []manifests.Allowance, hints []string, err error) {
	file := filepath.Join(env.Dir, manifests.File)
	for _, a := range env.Allow {
		if now, ok := renamed[a.Rule]; ok {
			hints = append(hints, fmt.Sprintf("%s: allow: rule %q is called %q now. change the name", file, a.Rule, now))
			a.Rule = now
		}
		if !slices.ContainsFunc(Rules, func(r Rule) bool { return r.Name == a.Rule }) {
			return nil, nil, cli.Finding(`%s: allow: unknown rule %q. "wasmfleet rules" lists them`, file, a.Rule)
		}
		all = append(all, a)
	}
	return all, hints, nil
}
