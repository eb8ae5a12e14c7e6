package main

import (
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

var ruleCallout = rule{
	"callout",
	"a service that a filter calls is in the mesh or declared by a ServiceEntry: otherwise Envoy has no cluster to call",
	"pluginConfig.upstream.host: token.internal, and no ServiceEntry declares token.internal",
	func(t *tree, found report) {
		for _, p := range t.plugins {
			if p.filter == nil {
				continue
			}
			for _, c := range p.filter.Callouts {
				upstream := at(p.Spec.PluginConfig, c.Upstream)
				host, port := upstream["host"].GetStringValue(), int(upstream["port"].GetNumberValue())
				if upstream["cluster"].GetStringValue() != "" || host == "" || strings.HasSuffix(host, ".svc.cluster.local") || t.declares(host, port, p.Namespace) {
					continue
				}
				found(p.at(append([]string{"pluginConfig"}, pointer(c.Upstream)...)...), "%s:%d, which filter %s calls, is declared by no ServiceEntry that namespace %q sees. add one to the base, or to its exportTo", host, port, p.filter.Name, p.Namespace)
			}
		}
	},
}

// pointer is a JSON pointer as the names it goes through.
func pointer(p string) []string { return strings.Split(strings.TrimPrefix(p, "/"), "/") }

// at is the object at a JSON pointer of the plugin configuration; nil when there is none.
func at(config *structpb.Struct, at string) map[string]*structpb.Value {
	fields := config.GetFields()
	for _, name := range pointer(at) {
		fields = fields[name].GetStructValue().GetFields()
	}
	return fields
}

// declares reports whether a ServiceEntry of the tree has that host and port and is visible from the namespace.
func (t *tree) declares(host string, port int, namespace string) bool {
	for _, o := range t.objects {
		if o.GetKind() != "ServiceEntry" {
			continue
		}
		hosts, err := o.GetSlice("spec.hosts")
		if err != nil {
			continue
		}
		for _, h := range hosts {
			if h == host && o.hasPort(port) && o.exportedTo(namespace) {
				return true
			}
		}
	}
	return false
}

// exportedTo reads exportTo, which means every namespace when it is absent.
func (o object) exportedTo(namespace string) bool {
	to, err := o.GetSlice("spec.exportTo")
	if err != nil || len(to) == 0 {
		return true
	}
	return slices.Contains(to, any("*")) || slices.Contains(to, any(namespace)) || slices.Contains(to, any(".")) && o.GetNamespace() == namespace
}

func (o object) hasPort(port int) bool {
	ports, err := o.Pipe(yaml.Lookup("spec", "ports"))
	if err != nil || ports == nil {
		return false
	}
	elements, err := ports.Elements()
	if err != nil {
		return false
	}
	for _, e := range elements {
		if n := e.Field("number"); n != nil && n.Value.YNode().Value == strconv.Itoa(port) {
			return true
		}
	}
	return false
}
