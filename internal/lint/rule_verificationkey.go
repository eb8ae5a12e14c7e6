package lint

import "github.com/wasmfleet/wasmfleet/internal/manifests"

var ruleVerificationKey = Rule{
	"verification-key",
	"nothing is written that Istio ignores: a verificationKey verifies nothing",
	"verificationKey: …",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			if p.Spec.VerificationKey != "" {
				found(at(p, "verificationKey"), "Istio does not verify signatures: verificationKey is ignored. remove it; the digest in url is what is checked")
			}
		}
	},
}
