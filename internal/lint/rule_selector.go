package lint

import (
	"fmt"
	"strconv"

	"istio.io/api/type/v1beta1"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/selection"
)

var ruleSelector = Rule{
	"selector",
	"a plugin says which workloads it is for, and there can be such: without a selector it runs in every proxy of the namespace, in the root namespace of the mesh",
	"a WasmPlugin without spec.selector and spec.targetRefs",
	func(r *manifests.Result, found report) {
		for _, o := range r.Objects {
			if o.GetKind() != plugin.EnvoyFilter.Kind {
				continue
			}
			labels, _ := o.GetFieldValue("spec.workloadSelector.labels")
			if refs, _ := o.GetSlice("spec.targetRefs"); labels == nil && len(refs) == 0 {
				found(atObject(o, "spec", "workloadSelector"), "no workloadSelector.labels and no targetRefs: it would patch every proxy of namespace %q. say which workloads it is for", o.GetNamespace())
			}
		}
		env := r.Env.Selection()
		for _, p := range r.Plugins {
			chosen := selection.Of(p.Namespace, &p.Spec)
			switch {
			case len(chosen.Refs) > 0:
				for i, ref := range chosen.Refs {
					if why := refProblem(env, p.Namespace, ref); why != "" {
						found(at(p, "targetRefs", strconv.Itoa(i)), "targetRefs[%d]: %s", i, why)
					}
				}
			case len(chosen.Labels) == 0 && p.Namespace == env.RootNamespace:
				found(at(p, "selector"), "no selector.matchLabels and no targetRefs in Istio's root namespace %s: it would run in every proxy of the mesh. deploy it in the workload's namespace, or say which workloads it is for", env.RootNamespace)
			case len(chosen.Labels) == 0:
				found(at(p, "selector"), "no selector.matchLabels and no targetRefs: it would run in every proxy of namespace %q. say which workloads it is for", p.Namespace)
			case p.Namespace == env.RootNamespace && !chosen.ForGateway():
				found(atObject(p.Object, "metadata", "namespace"), "namespace %s is Istio's root namespace: the selector chooses workloads of every namespace. deploy it in the workload's namespace", env.RootNamespace)
			default:
				if label, why := labelProblem(env, chosen); why != "" {
					found(at(p, "selector", "matchLabels", label), "selector label %s: %s", label, why)
				}
			}
		}
	},
}

// refProblem is what Istio's webhook refuses in a targetRef, or why it attaches to nothing.
func refProblem(env selection.Environment, namespace string, ref *v1beta1.PolicyTargetReference) string {
	if why := selection.Invalid(ref); why != "" {
		return why
	}
	switch {
	case ref.GetKind() != "GatewayClass":
	case namespace != env.RootNamespace:
		return fmt.Sprintf("a GatewayClass attaches only in Istio's root namespace %s: in %q it attaches to nothing. deploy it there", env.RootNamespace, namespace)
	case ref.GetName() != selection.WaypointClass:
		return fmt.Sprintf("GatewayClass %s: Istio attaches plugins to %s only", ref.GetName(), selection.WaypointClass)
	}
	return ""
}

// labelProblem is why a selector of labels that Istio puts on pods itself chooses none: a waypoint is not chosen by label.
func labelProblem(env selection.Environment, p selection.Plugin) (label, why string) {
	const unselected = "it chooses a waypoint, which Istio does not choose by label: it would never run. use targetRefs"
	if p.Labels["gateway.istio.io/managed"] == "istio.io-mesh-controller" {
		return "gateway.istio.io/managed", unselected
	}
	if p.Labels["gateway.networking.k8s.io/gateway-class-name"] == selection.WaypointClass {
		return "gateway.networking.k8s.io/gateway-class-name", unselected
	}
	name, ok := p.Labels[selection.GatewayName]
	if !ok {
		return "", ""
	}
	switch waypoint, known := env.Waypoint(p.Namespace, name); {
	case waypoint:
		return selection.GatewayName, unselected
	case !known:
		return selection.GatewayName, fmt.Sprintf("it chooses Gateway %q if that is a gateway, and nothing if it is a waypoint. use targetRefs, or say which Gateways are waypoints with waypoints in %s ([] for none)", name, manifests.File)
	}
	return "", ""
}
