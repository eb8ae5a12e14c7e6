package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/environment"
)

// rootNamespace is Istio's default.
const rootNamespace = "istio-system"

var ruleSelector = rule{
	"selector",
	"a plugin says which workloads it is for: without a selector it runs in every proxy of the namespace, in the root namespace of the mesh",
	"a WasmPlugin without spec.selector and spec.targetRefs",
	func(t *tree, found report) {
		for _, o := range t.objects {
			if o.GetKind() != environment.EnvoyFilter {
				continue
			}
			labels, _ := o.GetFieldValue("spec.workloadSelector.labels")
			if refs, _ := o.GetSlice("spec.targetRefs"); labels == nil && len(refs) == 0 {
				found(o.at("spec", "workloadSelector"), "no workloadSelector.labels and no targetRefs: it would patch every proxy of namespace %q. say which workloads it is for", o.GetNamespace())
			}
		}
		for _, p := range t.plugins {
			switch {
			case p.Namespace == rootNamespace:
				found(p.object.at("metadata", "namespace"), "namespace %s is Istio's root namespace: the plugin applies to the whole mesh. deploy it in the workload's namespace", rootNamespace)
			case len(p.Spec.TargetRefs) == 0 && p.Spec.TargetRef == nil && len(p.Spec.Selector.GetMatchLabels()) == 0:
				found(p.at("selector"), "no selector.matchLabels and no targetRefs: it would run in every proxy of namespace %q. say which workloads it is for", p.Namespace)
			}
			for i, ref := range p.Spec.TargetRefs {
				if !slices.Contains(targetKinds, ref.Kind) {
					found(p.at("targetRefs", strconv.Itoa(i), "kind"), "targetRefs of kind %s: Istio attaches plugins to %s", ref.Kind, strings.Join(targetKinds, ", "))
				}
			}
			for _, label := range gatewayLabels {
				if _, ok := p.Spec.Selector.GetMatchLabels()[label]; ok {
					found(p.at("selector", "matchLabels", label), "selector label %s chooses a Gateway API gateway or a waypoint, which Istio does not select by label. use targetRefs", label)
				}
			}
		}
	},
}

// targetKinds are what istiod's webhook accepts (pkg/config/validation).
var targetKinds = []string{"Gateway", "GatewayClass", "Service", "ServiceEntry"}

// gatewayLabels are what Istio puts on the pods of the gateways and waypoints that it makes from the Gateway API.
var gatewayLabels = []string{"gateway.networking.k8s.io/gateway-name", "gateway.networking.k8s.io/gateway-class-name", "gateway.istio.io/managed"}
