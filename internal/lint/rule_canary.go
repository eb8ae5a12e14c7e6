package lint

import (
	"reflect"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

var ruleCanary = Rule{
	"canary",
	"a canary is what wasmfleet canary writes for the stable object as it is now, in this Istio: another split would find no filter, or run both or none",
	"a canary whose stable object has another selector since, or an environment that has another Istio since",
	func(r *manifests.Result, found report) {
		beside := map[string]bool{}
		for _, c := range r.Canaries() {
			at := atObject(c.Object)
			if c.Err != nil {
				found(at, "%v. remove it, or start it again", c.Err)
				continue
			}
			again := "wasmfleet canary set " + c.Filter() + " --in " + r.Env.Name
			if _, err := image.ParseRef(strings.TrimPrefix(c.Plugin.Spec.Url, "oci://")); err != nil {
				found(at, "the canary's image: %v. start it again", err)
			}
			switch same, err := isWritten(c, r.Env.Mesh()); {
			case err != nil:
				found(at, "%v. start it again", err)
			case !same:
				found(at, `it is not what "%s" would write for %s as it is now, in Istio %s. run that`, again, c.Stable, r.Env.Istio)
			}
			if r.Env.API == plugin.EnvoyFilter.Kind {
				found(at, "with api: EnvoyFilter the stable filter has no name that istiod gives it, so the split finds nothing. use another api while a canary runs")
			}
			if c.Stable.Spec.ImagePullSecret != "" {
				found(at, "the stable object pulls with secret %q, and istiod sends no pull secret for an EnvoyFilter: the canary's image would be missing, and its share of requests denied. let the proxies pull without, or take rings of pods", c.Stable.Spec.ImagePullSecret)
			}
			if id := c.Stable.Kind + " " + c.Stable.ID(); beside[id] {
				found(at, "%s has another canary. remove one", c.Stable)
			} else {
				beside[id] = true
			}
		}
	},
}

// isWritten reports whether the object is, in all but what kustomize adds to its metadata, what would be written now.
func isWritten(c manifests.Canary, mesh plugin.Mesh) (bool, error) {
	want, err := c.Canary.Object(mesh)
	if err != nil {
		return false, err
	}
	got, err := c.Object.MarshalJSON()
	if err != nil {
		return false, err
	}
	var a, b struct {
		Metadata struct {
			Annotations map[string]string `json:"annotations"`
		} `json:"metadata"`
		Spec map[string]any `json:"spec"`
	}
	if err := utiljson.Unmarshal(want, &a); err != nil {
		return false, err
	}
	if err := utiljson.Unmarshal(got, &b); err != nil {
		return false, err
	}
	for name, value := range a.Metadata.Annotations {
		if b.Metadata.Annotations[name] != value {
			return false, nil
		}
	}
	return reflect.DeepEqual(a.Spec, b.Spec), nil
}
