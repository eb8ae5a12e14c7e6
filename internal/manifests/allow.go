package manifests

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Allowance lets findings of a rule pass.
type Allowance struct {
	Rule   string `yaml:"rule"`
	Object string `yaml:"object"` // namespace/name or name of the object; every object when absent
	Reason string `yaml:"reason"`
}

// Allows reports whether the allowance is for a finding of the object.
func (a Allowance) Allows(namespace, name string) bool {
	return a.Object == "" || a.Object == name || a.Object == namespace+"/"+name
}

// Allowances are the field allow of an environment.yaml: a list, or as it once was a mapping of rules to reasons.
type Allowances []Allowance

// UnmarshalYAML implements yaml.Unmarshaler.
func (a *Allowances) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		for _, item := range n.Content {
			for i := 0; i+1 < len(item.Content); i += 2 {
				if key := item.Content[i]; key.Value != "rule" && key.Value != "object" && key.Value != "reason" {
					return fmt.Errorf("line %d: field %s not found in an entry of allow: want rule, object and reason", key.Line, key.Value)
				}
			}
		}
		var list []Allowance
		err := n.Decode(&list)
		*a = list
		return err
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		*a = append(*a, Allowance{Rule: n.Content[i].Value, Reason: n.Content[i+1].Value})
	}
	return nil
}
