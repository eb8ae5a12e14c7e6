package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/wasmfleet/wasmfleet/internal/envoyconfig"
	"github.com/wasmfleet/wasmfleet/internal/filterimage"
	"github.com/wasmfleet/wasmfleet/internal/istiocompat"
	"github.com/wasmfleet/wasmfleet/internal/modules"
	"github.com/wasmfleet/wasmfleet/internal/preflight"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// preflightRule is the name that preflight's findings carry. It is no rule of the catalogue: it runs programs and may ask a
// registry, and rendering is offline.
const preflightRule = "preflight"

// preflighter starts plugins before anybody relies on them.
type preflighter struct {
	source *modules.Source
	say    func(format string, args ...any)
	bar    progress
}

// tree starts every plugin of the tree in the Envoy of its Istio, with the module of its pin and exactly the configuration that
// istiod would send. A configuration that its filter refuses looks fine on running proxies, which keep the old one, and answers
// 500 after their next start. What could not be asked is an error: a check that did not run has not passed.
func (c preflighter) tree(ctx context.Context, t *tree) ([]finding, error) {
	version, ok := istiocompat.TestedEnvoy(t.env.Istio)
	if !ok || t.undecoded != nil {
		return nil, nil // a rule has said so
	}
	envoy, err := preflight.FindVersion(version)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, o := range t.rendered {
		files[o.file] = o.yaml
	}
	rendered, err := envoyconfig.Plugins(files)
	if err != nil {
		return nil, err
	}
	byID := map[string]*envoyconfig.Plugin{}
	for _, r := range rendered {
		byID[r.ID()] = r
	}
	var findings []finding
	for _, p := range t.plugins {
		ref, err := filterimage.ParseRef(strings.TrimPrefix(p.Spec.Url, "oci://"))
		if err != nil {
			continue // the digest rule has said so
		}
		c.bar.step(fmt.Sprintf("%s: starting %s in Envoy %s", t.env.Name, p.Name, version))
		found, err := c.plugin(ctx, t, p, byID[p.ID()], envoy, ref)
		if err != nil {
			return nil, fmt.Errorf("%s: %s %q: %w", t.env.Dir, p.Kind, p.Name, err)
		}
		findings = append(findings, found...)
	}
	return findings, nil
}

func (c preflighter) plugin(ctx context.Context, t *tree, p plugin, rendered *envoyconfig.Plugin, envoy string, ref filterimage.Ref) ([]finding, error) {
	module, err := c.source.Get(ctx, ref)
	switch {
	case errors.Is(err, filterimage.ErrIndex):
		return []finding{t.finding(preflightRule, p.at("url"), "%s is that of an image index, and Istio compares the digest of the image inside. publish with publish, and promote that pin", ref.Digest)}, nil
	case err != nil:
		return nil, err
	}
	m, err := wasmfile.Read(module)
	if err != nil {
		return []finding{t.finding(preflightRule, p.at("url"), "module of %s: %v", ref, err)}, nil
	}
	var findings []finding
	for _, problem := range wasmfile.Lint(m) {
		findings = append(findings, t.finding(preflightRule, p.at("url"), "module of %s: %s", ref, problem))
	}
	if len(findings) > 0 {
		return findings, nil
	}
	field, problem, err := schemaProblem(p)
	if err != nil {
		return nil, err
	}
	var refused *preflight.Refused
	switch err := preflight.Check(ctx, envoy, rendered, module); {
	case errors.As(err, &refused):
		// The filter's words say what, the schema knows where.
		return []finding{t.finding(preflightRule, p.at(field...), "%s", strings.Join(strings.Fields(refused.Reason), " "))}, nil
	case err != nil:
		return nil, err
	case problem != "":
		// The pin may be older than the schema beside the sources: what runs there decides.
		c.say("%s: %s %q: the pinned module accepts what %s does not: %s", t.env.Name, p.Kind, p.Name, filepath.Join(p.filter.Dir, schemaFile), problem)
	}
	return nil, nil
}

const schemaFile = "config.schema.json"

// schemaProblem holds pluginConfig against the filter's config.schema.json. The field is the deepest that the schema names.
func schemaProblem(p plugin) (field []string, problem string, err error) {
	field = []string{"pluginConfig"}
	if p.filter == nil {
		return field, "", nil
	}
	file := filepath.Join(p.filter.Dir, schemaFile)
	if _, err := os.Stat(file); err != nil {
		return field, "", nil // a filter need not have one
	}
	schema, err := jsonschema.NewCompiler().Compile(file)
	if err != nil {
		return nil, "", err
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(schema.Validate(p.Spec.PluginConfig.AsMap()), &invalid) {
		return field, "", nil
	}
	deepest := invalid
	for len(deepest.Causes) > 0 {
		deepest = deepest.Causes[0]
	}
	field = append(field, deepest.InstanceLocation...)
	if extra, ok := deepest.ErrorKind.(*kind.AdditionalProperties); ok && len(extra.Properties) > 0 {
		field = append(field, extra.Properties[0])
	}
	return field, strings.Join(field, ".") + ": " + deepest.ErrorKind.LocalizedString(message.NewPrinter(language.English)), nil
}
