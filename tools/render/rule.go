package main

import (
	"fmt"

	"github.com/wasmfleet/wasmfleet/internal/environment"
)

// rule is one check on rendered objects, in a file of its own: rule_<name>.go.
type rule struct {
	name  string // shown in brackets after each finding
	check func(environment.Environment, object) []string
}

// rules is the catalogue.
var rules = []rule{
	ruleDigest,
}

// finding is one thing that is wrong: where, which object, what, and what to do.
type finding struct {
	File    string `json:"file"`
	Object  string `json:"object"`
	Message string `json:"message"`
	Rule    string `json:"rule"`
}

func (f finding) String() string {
	return fmt.Sprintf("%s: %s: %s [%s]", f.File, f.Object, f.Message, f.Rule)
}

// lint applies every rule to every object.
func lint(env environment.Environment, objects []object) []finding {
	var findings []finding
	for _, o := range objects {
		for _, r := range rules {
			for _, message := range r.check(env, o) {
				findings = append(findings, finding{env.Dir, fmt.Sprintf("%s %q", o.GetKind(), o.GetName()), message, r.name})
			}
		}
	}
	return findings
}
