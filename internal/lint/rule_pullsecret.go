package lint

import "github.com/wasmfleet/wasmfleet/internal/manifests"

const dockerConfigJSON = "kubernetes.io/dockerconfigjson"

var rulePullSecret = Rule{
	"pull-secret",
	"a pull secret is of type " + dockerConfigJSON + " and in the plugin's namespace: istiod looks nowhere else",
	"imagePullSecret: registry, and a Secret registry of type Opaque",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			name := p.Spec.ImagePullSecret
			if name == "" {
				continue
			}
			var elsewhere, here *manifests.Object
			for i, o := range r.Objects {
				if o.GetKind() != "Secret" || o.GetName() != name {
					continue
				}
				if o.GetNamespace() == p.Namespace {
					here = &r.Objects[i]
				} else {
					elsewhere = &r.Objects[i]
				}
			}
			// A secret that is in no file is somebody else's: an external secret operator's, or kubectl's.
			switch {
			case here == nil && elsewhere != nil:
				found(at(p, "imagePullSecret"), "Secret %q is in namespace %q, and istiod looks in the plugin's, %q. move it", name, elsewhere.GetNamespace(), p.Namespace)
			case here != nil:
				if kind, _ := here.GetString("type"); kind != dockerConfigJSON {
					found(atObject(*here, "type"), "pull secret of type %q: istiod takes %s only", kind, dockerConfigJSON)
				}
			}
		}
	},
}
