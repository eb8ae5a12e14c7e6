package main

var ruleIgnored = rule{
	"ignored",
	"nothing is written that Istio ignores: a verificationKey verifies nothing",
	"verificationKey: …",
	func(t *tree, found report) {
		for _, p := range t.plugins {
			if p.Spec.VerificationKey != "" {
				found(p.at("verificationKey"), "Istio does not verify signatures: verificationKey is ignored. remove it; the digest in url is what is checked")
			}
		}
	},
}
