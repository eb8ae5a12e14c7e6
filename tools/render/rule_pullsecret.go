package main

const dockerConfigJSON = "kubernetes.io/dockerconfigjson"

var rulePullSecret = rule{
	"pull-secret",
	"a pull secret is of type " + dockerConfigJSON + " and in the plugin's namespace: istiod looks nowhere else",
	"imagePullSecret: registry, and a Secret registry of type Opaque",
	func(t *tree, found report) {
		for _, p := range t.plugins {
			name := p.Spec.ImagePullSecret
			if name == "" {
				continue
			}
			var elsewhere, here *object
			for i, o := range t.objects {
				if o.GetKind() != "Secret" || o.GetName() != name {
					continue
				}
				if o.GetNamespace() == p.Namespace {
					here = &t.objects[i]
				} else {
					elsewhere = &t.objects[i]
				}
			}
			// A secret that is in no file is somebody else's: an external secret operator's, or kubectl's.
			switch {
			case here == nil && elsewhere != nil:
				found(p.at("imagePullSecret"), "Secret %q is in namespace %q, and istiod looks in the plugin's, %q. move it", name, elsewhere.GetNamespace(), p.Namespace)
			case here != nil:
				if kind, _ := here.GetString("type"); kind != dockerConfigJSON {
					found(here.at("type"), "pull secret of type %q: istiod takes %s only", kind, dockerConfigJSON)
				}
			}
		}
	},
}
