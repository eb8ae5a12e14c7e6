package lint

import "github.com/wasmfleet/wasmfleet/internal/manifests"

var ruleNamespace = Rule{
	"namespace",
	"a namespace that is written stays: kustomize's field namespace overwrites that of every object, also of one that belongs elsewhere",
	"metadata.namespace: istio-ingress, and namespace: web in the overlay",
	func(r *manifests.Result, found report) {
		for _, o := range r.Objects {
			if from := r.Source.Moved(o.Resource); from != "" {
				found(atObject(o, "metadata", "namespace"), "namespace %q is overwritten by namespace %q of a kustomization around it: what it is for is not there. give the object an overlay of its own namespace, or leave namespace out of its file", from, o.GetNamespace())
			}
		}
	},
}
