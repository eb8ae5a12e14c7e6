package main

import "istio.io/api/type/v1beta1"

// rootNamespace is Istio's default.
const rootNamespace = "istio-system"

var ruleSelector = rule{
	"selector",
	"a plugin says which workloads it is for: without a selector it runs in every proxy of the namespace, in the root namespace of the mesh",
	"a WasmPlugin without spec.selector and spec.targetRefs",
	func(t *tree, found report) {
		for _, p := range t.plugins {
			switch {
			case p.Namespace == rootNamespace:
				found(p.object.at("metadata", "namespace"), "namespace %s is Istio's root namespace: the plugin applies to the whole mesh. deploy it in the workload's namespace", rootNamespace)
			case len(p.Spec.TargetRefs) == 0 && p.Spec.TargetRef == nil && len(p.Spec.Selector.GetMatchLabels()) == 0:
				found(p.at("selector"), "no selector.matchLabels and no targetRefs: it would run in every proxy of namespace %q. say which workloads it is for", p.Namespace)
			}
			if label, ok := gatewayLabel(p.Spec.Selector); ok {
				found(p.at("selector", "matchLabels", label), "selector label %s chooses a Gateway API gateway, which Istio does not select by label. use targetRefs", label)
			}
		}
	},
}

// gatewayLabel finds the label that the Gateway API puts on a gateway's pods.
func gatewayLabel(s *v1beta1.WorkloadSelector) (string, bool) {
	const label = "gateway.networking.k8s.io/gateway-name"
	_, ok := s.GetMatchLabels()[label]
	return label, ok
}
