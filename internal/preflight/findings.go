package preflight

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

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/istiocompat"
	"github.com/wasmfleet/wasmfleet/internal/lint"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/modules"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// Rule is the name that preflight's findings carry. It is no rule of the catalogue: it runs programs and may ask a registry, and
// rendering is offline.
const Rule = "preflight"

// Preflight starts plugins before anybody relies on them.
type Preflight struct {
	Modules *modules.Source
	Say     func(format string, args ...any)
	Step    func(what string)
}

// Result starts every plugin of the result in the Envoy of its Istio, with the module of its pin and exactly the configuration that
// istiod would send. A configuration that its filter refuses looks fine on running proxies, which keep the old one, and answers
// 500 after their next start. What could not be asked is an error: a check that did not run has not passed.
func (c Preflight) Result(ctx context.Context, r *manifests.Result) ([]lint.Finding, error) {
	version, ok := istiocompat.TestedEnvoy(r.Env.Istio)
	if !ok || r.Undecoded != nil {
		return nil, nil // a rule has said so
	}
	program, err := envoy.FindVersion(version)
	if err != nil {
		return nil, err
	}
	rendered, err := plugin.Plugins(r.Files())
	if err != nil {
		return nil, err
	}
	byID := map[string]*plugin.Plugin{}
	for _, p := range rendered {
		byID[p.ID()] = p
	}
	plugins := r.Plugins
	for _, canary := range r.Canaries() {
		if canary.Err != nil {
			continue // the canary rule has said so
		}
		p := canary.Stable
		p.Plugin, p.Object = canary.Plugin, canary.Object
		p.Name = canary.Name()
		plugins, byID[p.ID()] = append(plugins[:len(plugins):len(plugins)], p), p.Plugin
	}
	var findings []lint.Finding
	for _, p := range plugins {
		ref, err := image.ParseRef(strings.TrimPrefix(p.Spec.Url, "oci://"))
		if err != nil {
			continue // the digest rule has said so
		}
		c.Step(fmt.Sprintf("%s: starting %s in Envoy %s", r.Env.Name, p.Name, version))
		found, err := c.plugin(ctx, r, p, byID[p.ID()], program, ref)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", r.Env.Dir, p, err)
		}
		findings = append(findings, found...)
	}
	return findings, nil
}

func (c Preflight) plugin(ctx context.Context, r *manifests.Result, p manifests.Plugin, rendered *plugin.Plugin, program string, ref image.Ref) ([]lint.Finding, error) {
	finding := func(field []string, format string, args ...any) lint.Finding {
		return lint.AtField(r, Rule, p, field, format, args...)
	}
	url := []string{"url"}
	module, err := c.Modules.Get(ctx, ref)
	switch {
	case errors.Is(err, image.ErrIndex):
		return []lint.Finding{finding(url, "%s is that of an image index, and Istio compares the digest of the image inside. publish with publish, and promote that pin", ref.Digest)}, nil
	case err != nil:
		return nil, err
	}
	m, err := wasmfile.Read(module)
	if err != nil {
		return []lint.Finding{finding(url, "module of %s: %v", ref, err)}, nil
	}
	var findings []lint.Finding
	for _, problem := range wasmfile.Lint(m) {
		findings = append(findings, finding(url, "module of %s: %s", ref, problem))
	}
	if len(findings) > 0 {
		return findings, nil
	}
	field, problem, err := schemaProblem(p)
	if err != nil {
		return nil, err
	}
	var refused *envoy.Refused
	switch err := Check(ctx, program, rendered, module); {
	case errors.As(err, &refused):
		// The filter's words say what, the schema knows where.
		return []lint.Finding{finding(field, "%s", strings.Join(strings.Fields(refused.Reason), " "))}, nil
	case err != nil:
		return nil, err
	case problem != "":
		// The pin may be older than the schema beside the sources: what runs there decides.
		c.Say("%s: %s: the pinned module accepts what %s does not: %s", r.Env.Name, p, filepath.Join(p.Filter.Dir, schemaFile), problem)
	}
	return nil, nil
}

const schemaFile = "config.schema.json"

// schemaProblem holds pluginConfig against the filter's config.schema.json.
func schemaProblem(p manifests.Plugin) (field []string, problem string, err error) {
	if p.Filter == nil {
		return []string{"pluginConfig"}, "", nil
	}
	return Schema(p.Filter.Dir, p.Spec.PluginConfig.AsMap())
}

// Schema holds pluginConfig against the config.schema.json in the filter's folder. The field is the deepest that the schema names; the
// problem is empty when there is none.
func Schema(dir string, pluginConfig map[string]any) (field []string, problem string, err error) {
	field = []string{"pluginConfig"}
	file := filepath.Join(dir, schemaFile)
	if _, err := os.Stat(file); err != nil {
		return field, "", nil // a filter need not have one
	}
	schema, err := jsonschema.NewCompiler().Compile(file)
	if err != nil {
		return nil, "", err
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(schema.Validate(pluginConfig), &invalid) {
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
