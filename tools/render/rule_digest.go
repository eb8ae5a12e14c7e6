package main

import (
	"fmt"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/environment"
	"github.com/wasmfleet/wasmfleet/internal/filterimage"
)

var ruleDigest = rule{
	"digest",
	"an image is named by digest: a tag can be moved, and Istio's agent does not look at it again",
	"url: oci://ghcr.io/team/demo:v1",
	func(t *tree, found report) {
		for _, p := range t.plugins {
			url := p.Spec.Url
			if filter, ok := strings.CutPrefix(url, environment.Scheme); ok {
				if _, pinned := t.pins[filter]; pinned {
					found(p.at("url"), "url %q is not replaced by its pin in %s: kustomize does not know that the field holds an image. add components/filter-image to the components there", url, t.env.PinsFile())
					continue
				}
				how := fmt.Sprintf("make promote FILTER=%s TO=%s", filter, t.env.Name)
				if t.env.Upstream == environment.None {
					how = fmt.Sprintf(`make publish FILTER=%s" and "make promote TO=%s`, filter, t.env.Name)
				}
				found(p.at("url"), `url %q is not pinned. run "%s"`, url, how)
				continue
			}
			ref, ok := strings.CutPrefix(url, "oci://")
			if !ok || malformed(ref) {
				continue // the url rule says so
			}
			r, err := filterimage.ParseRef(ref)
			if err != nil {
				found(p.at("url"), "url: %v. promote a pin", err)
				continue
			}
			if hex := strings.TrimPrefix(r.Digest, "sha256:"); p.Spec.Sha256 != "" && p.Spec.Sha256 != hex {
				found(p.at("sha256"), "sha256 %s is not the digest in url, %s: Istio refuses the image. remove sha256", p.Spec.Sha256, hex)
			}
		}
	},
}
