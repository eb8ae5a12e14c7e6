package lint

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"go.yaml.in/yaml/v3"
)

var ruleAmbiguousYAML = Rule{
	"ambiguous-yaml",
	"what is written in pluginConfig means the same to every reader: YAML 1.1 takes y, on and no for booleans, and JSON's numbers end at 2^53",
	"pluginConfig: {on: 1}, or {id: 9007199254740993}",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			written, known := r.Source.Written(p.Object.Resource, p.API().Path("pluginConfig"))
			if !known && len(p.Spec.PluginConfig.GetFields()) > 0 {
				found(at(p, "pluginConfig"), "no file is known that writes this object, so its pluginConfig was not checked. write the object in a file of resources")
			}
			seen := map[string]bool{}
			for _, node := range written {
				walkScalars(node.Node, append([]string{"pluginConfig"}, node.Path...), func(field []string, n *yaml.Node) {
					if why := ambiguous(n); why != "" && !seen[strings.Join(field, "\x00")] {
						seen[strings.Join(field, "\x00")] = true
						found(at(p, field...), "%s: %s %s", strings.Join(field, "."), n.Value, why)
					}
				})
			}
		}
	},
}

var (
	// https://yaml.org/type/bool.html, without true and false, which YAML 1.2 has, too.
	boolean11     = regexp.MustCompile(`^(y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF)$`)
	octal11       = regexp.MustCompile(`^[-+]?0[0-7_]+$`)
	sexagesimal11 = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?$`)
	whole         = regexp.MustCompile(`^[-+]?[1-9][0-9]*$`)
	maxExact      = new(big.Int).Lsh(big.NewInt(1), 53)
)

// ambiguous says what a plain scalar may be taken for.
func ambiguous(n *yaml.Node) string {
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) != 0 {
		return ""
	}
	switch {
	case boolean11.MatchString(n.Value):
		return "is a boolean in YAML 1.1 and text in YAML 1.2. quote it, or write true or false"
	case octal11.MatchString(n.Value):
		return "is octal in YAML 1.1. quote it, or write it without the zero"
	case sexagesimal11.MatchString(n.Value):
		return "is a number of base 60 in YAML 1.1. quote it"
	case n.Tag == "!!timestamp":
		return "becomes a time of another format. quote it"
	case whole.MatchString(n.Value):
		if i, ok := new(big.Int).SetString(n.Value, 10); ok && i.CmpAbs(maxExact) > 0 {
			return "is over 2^53: istiod rounds it. quote it"
		}
	}
	return ""
}

func walkScalars(n *yaml.Node, field []string, visit func(field []string, n *yaml.Node)) {
	child := func(name string) []string { return append(field[:len(field):len(field)], name) }
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			visit(child(n.Content[i].Value), n.Content[i])
			walkScalars(n.Content[i+1], child(n.Content[i].Value), visit)
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			walkScalars(c, child(strconv.Itoa(i)), visit)
		}
	case yaml.ScalarNode:
		visit(field, n)
	}
}
