package lint

import (
	"slices"
	"strconv"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// rootNamespace is Istio's default.
const rootNamespace = "istio-system"

var ruleSelector = Rule{
	"selector",
	"a plugin says which workloads it is for: without a selector it runs in every proxy of the namespace, in the root namespace of the mesh",
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
		for _, p := range r.Plugins {
			switch {
			case p.Namespace == rootNamespace:
				found(atObject(p.Object, "metadata", "namespace"), "namespace %s is Istio's root namespace: the plugin applies to the whole mesh. deploy it in the workload's namespace", rootNamespace)
			case len(p.Spec.TargetRefs) == 0 && p.Spec.TargetRef == nil && len(p.Spec.Selector.GetMatchLabels()) == 0:
				found(at(p, "selector"), "no selector.matchLabels and no targetRefs: it would run in every proxy of namespace %q. say which workloads it is for", p.Namespace)
			}
			for i, ref := range p.Spec.TargetRefs {
				if !slices.Contains(targetKinds, ref.Kind) {
					found(at(p, "targetRefs", strconv.Itoa(i), "kind"), "targetRefs of kind %s: Istio attaches plugins to %s", ref.Kind, strings.Join(targetKinds, ", "))
				}
			}
			for _, label := range gatewayLabels {
				if _, ok := p.Spec.Selector.GetMatchLabels()[label]; ok {
					found(at(p, "selector", "matchLabels", label), "selector label %s chooses a Gateway API gateway or a waypoint, which Istio does not select by label. use targetRefs", label)
				}
			}
		}
	},
}

// targetKinds are what istiod's webhook accepts (pkg/config/validation).
var targetKinds = []string{"Gateway", "GatewayClass", "Service", "ServiceEntry"}

// gatewayLabels are what Istio puts on the pods of the gateways and waypoints that it makes from the Gateway API.
var gatewayLabels = []string{"gateway.networking.k8s.io/gateway-name", "gateway.networking.k8s.io/gateway-class-name", "gateway.istio.io/managed"}
