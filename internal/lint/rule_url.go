package lint

import (
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

var ruleURL = Rule{
	"url",
	"a url is oci:// and a reference that a registry can have: Istio checks only its scheme, and the agent fails later",
	"url: registry.example.com:5000/team/demo@sha256:…",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			url := p.Spec.Url
			scheme, rest, ok := strings.Cut(url, "://")
			switch {
			case url == "" || strings.HasPrefix(url, manifests.Scheme):
				// the schema rule and the digest rule say so
			case !ok && strings.Contains(strings.SplitN(url, "/", 2)[0], ":"):
				found(at(p, "url"), "url %q has no scheme: Istio takes what stands before the port for one. write oci://%[1]s", url)
			case !ok:
				found(at(p, "url"), "url %q has no scheme. write oci://%[1]s", url)
			case scheme != "oci":
				found(at(p, "url"), `url %q: want an oci:// reference with a digest. write "url: filter://<filter>" in the base and promote a pin`, url)
			case malformed(rest):
				_, err := name.ParseReference(rest, name.WithDefaultRegistry(""))
				found(at(p, "url"), "url %q is no reference that a registry can have: %v. promote a pin", url, err)
			}
		}
	},
}

func malformed(ref string) bool {
	if strings.Count(ref, "@") > 1 {
		return true
	}
	repo, _, pinned := strings.Cut(ref, "@")
	if _, err := name.ParseReference(repo, name.WithDefaultRegistry("")); err != nil {
		return true
	}
	if !pinned {
		return false
	}
	_, err := name.NewDigest(ref, name.WithDefaultRegistry(""))
	return err != nil
}
