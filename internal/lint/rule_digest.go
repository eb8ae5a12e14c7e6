package lint

import (
	"fmt"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

var ruleDigest = Rule{
	"digest",
	"an image is named by digest: a tag can be moved, and Istio's agent does not look at it again",
	"url: oci://ghcr.io/team/demo:v1",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			url := p.Spec.Url
			if filter, ok := strings.CutPrefix(url, manifests.Scheme); ok {
				if len(r.Pinned(filter)) > 0 {
					found(at(p, "url"), "url %q is not replaced by its pin in %s: kustomize does not know that the field holds an image. add components/filter-image to the components there", url, r.Env.PinsFile())
					continue
				}
				how := fmt.Sprintf("make promote FILTER=%s TO=%s", filter, r.Env.Name)
				if r.Env.Upstream == manifests.None {
					how = fmt.Sprintf(`make publish FILTER=%s" and "make promote TO=%s`, filter, r.Env.Name)
				}
				found(at(p, "url"), `url %q is not pinned. run "%s"`, url, how)
				continue
			}
			ref, ok := strings.CutPrefix(url, "oci://")
			if !ok || malformed(ref) {
				continue // the url rule says so
			}
			r, err := image.ParseRef(ref)
			if err != nil {
				found(at(p, "url"), "url: %v. promote a pin", err)
				continue
			}
			if hex := strings.TrimPrefix(r.Digest, "sha256:"); p.Spec.Sha256 != "" && p.Spec.Sha256 != hex {
				found(at(p, "sha256"), "sha256 %s is not the digest in url, %s: Istio refuses the image. remove sha256", p.Spec.Sha256, hex)
			}
		}
	},
}
