package lint

import (
	"slices"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

var rulePinned = Rule{
	"pinned",
	"what a pin says is what runs: the url of a filter comes from a pin of its environment",
	"url: oci://ghcr.io/team/demo:v1@sha256:… in a patch, beside a pin of demo that says another digest",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			ref, err := image.ParseRef(strings.TrimPrefix(p.Spec.Url, "oci://"))
			if err != nil {
				continue // the digest rule and the url rule say so
			}
			filter := ref.Filter()
			pins := r.Pinned(filter)
			switch {
			case len(pins) == 0 && p.Filter == nil: // a vendor's image, with its digest
			case len(pins) == 0:
				found(at(p, "url"), "url %q is not from a pin: promoting %s would not change it. write filter://%[2]s, and promote it", p.Spec.Url, filter)
			case !slices.Contains(pins, ref):
				found(at(p, "url"), "url %q is not what %s pins, %s: promoting %s would not change what runs. write filter://%[4]s where the url is written", p.Spec.Url, r.Env.PinsFile(), pins[0].Digest, filter)
			}
		}
	},
}
