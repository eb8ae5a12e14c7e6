package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/filterimage"
	"github.com/wasmfleet/wasmfleet/internal/modules"
	"github.com/wasmfleet/wasmfleet/internal/preflight"
)

// preflightRule is the name that preflight's findings carry. It is no rule of the catalogue: it runs programs and may ask a
// registry, and rendering is offline.
const preflightRule = "preflight"

// preflightTree starts every plugin of the tree in a real Envoy, with the module of its pin and exactly the configuration that
// istiod would send. A configuration that its filter refuses looks fine on running proxies, which keep the old one, and answers
// 500 after their next start. What could not be asked is an error: a check that did not run has not passed.
func preflightTree(ctx context.Context, t *tree, envoy string, source *modules.Source) ([]finding, error) {
	var findings []finding
	for _, p := range t.plugins {
		ref, err := filterimage.ParseRef(strings.TrimPrefix(p.Spec.Url, "oci://"))
		if err != nil {
			continue // the digest rule has said so
		}
		module, err := source.Get(ctx, ref)
		if err != nil {
			return nil, err
		}
		var refused *preflight.Refused
		switch err := preflight.Check(ctx, envoy, p.Plugin, module); {
		case errors.As(err, &refused):
			findings = append(findings, t.finding(preflightRule, p.at("pluginConfig"), "%s", strings.Join(strings.Fields(refused.Reason), " ")))
		case err != nil:
			return nil, fmt.Errorf("%s: WasmPlugin %q: %w", t.env.Dir, p.Name, err)
		}
	}
	return findings, nil
}
