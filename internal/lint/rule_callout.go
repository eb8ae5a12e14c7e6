package lint

import (
	"slices"
	"strconv"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

var ruleCallout = Rule{
	"callout",
	"a service that a filter calls is in the mesh or declared by a ServiceEntry: otherwise Envoy has no cluster to call",
	"pluginConfig.upstream.host: token.internal, and no ServiceEntry declares token.internal",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			if p.Filter == nil {
				continue
			}
			for _, c := range p.Filter.Callouts {
				u := p.Upstream(c)
				if u.Host == "" || u.Err != nil || strings.HasSuffix(u.Host, ".svc.cluster.local") || declares(r, u.Host, u.Port, p.Namespace) {
					continue
				}
				found(at(p, u.Field...), "%s:%d, which filter %s calls, is declared by no ServiceEntry that namespace %q sees. add one to the base, or to its exportTo", u.Host, u.Port, p.Filter.Name, p.Namespace)
			}
		}
	},
}

// declares reports whether a ServiceEntry of the result has that host and port and is visible from the namespace.
func declares(r *manifests.Result, host string, port int, namespace string) bool {
	for _, o := range r.Objects {
		if o.GetKind() != "ServiceEntry" {
			continue
		}
		hosts, err := o.GetSlice("spec.hosts")
		if err != nil {
			continue
		}
		for _, h := range hosts {
			if h == host && hasPort(o, port) && exportedTo(o, namespace) {
				return true
			}
		}
	}
	return false
}

// exportedTo reads exportTo, which means every namespace when it is absent.
func exportedTo(o manifests.Object, namespace string) bool {
	to, err := o.GetSlice("spec.exportTo")
	if err != nil || len(to) == 0 {
		return true
	}
	return slices.Contains(to, any("*")) || slices.Contains(to, any(namespace)) || slices.Contains(to, any(".")) && o.GetNamespace() == namespace
}

func hasPort(o manifests.Object, port int) bool {
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
