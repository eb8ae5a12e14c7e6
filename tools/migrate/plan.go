package migrate

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	extensions "istio.io/api/extensions/v1alpha1"
	typev1beta1 "istio.io/api/type/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// plan is what the objects become.
type plan struct {
	options
	ctx       context.Context
	found     []*migrated
	questions []string
	notes     []string // what stays to be done by hand
	leftovers []string
	asked     map[string]bool // keys of questions, answered or not
}

// migrated is a filter that the input deploys, as it will be deployed.
type migrated struct {
	place, origin   string
	name, namespace string
	filter          string
	code            string // a reference, a URL or a path, as the input has it
	ref             image.Ref
	spec            *extensions.WasmPlugin
	was             *extensions.WasmPlugin // the same object before, where it was a plugin
	notes           []string
	unordered       bool // only the time of its creation gave it a place among others
}

// note is what somebody who reads the report should know of the object.
func (m *migrated) note(format string, args ...any) {
	m.notes = append(m.notes, fmt.Sprintf(format, args...))
}

// ask is an answer from the command line; without one the question is in the report. Key is what --set answers.
func (p *plan) ask(m *migrated, key, question string, examples ...string) (answer string, ok bool) {
	key += "." + m.name
	p.asked[key] = true
	if answer, ok := p.answers[key]; ok {
		return answer, true
	}
	for i := range examples {
		examples[i] = "--set " + key + "=" + examples[i]
	}
	p.questions = append(p.questions, fmt.Sprintf("%s: %s: %s %s", m.place, m.origin, question, strings.Join(examples, ", or ")))
	return "", false
}

// add takes an object in, by its kind.
func (p *plan) add(o object) error {
	group, _, _ := strings.Cut(o.APIVersion, "/")
	switch {
	case o.Kind == "FilterDeployment" && group == "wasme.io":
		return p.filterDeployment(o)
	case o.Kind == plugin.EnvoyFilter.Kind || o.Kind == plugin.WasmPlugin.Kind || o.Kind == plugin.TrafficExtension.Kind:
		return p.istio(o)
	}
	p.leftover(o)
	return nil
}

var notInName = regexp.MustCompile(`[^a-z0-9-]+`)

// validName makes a name of a filter and its objects of any text.
func validName(text string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(text), "-"), "-")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "filter-" + name
	}
	return strings.Trim(name[:min(len(name), 63)], "-")
}

// filterOf is the name of the filter in a reference or a path.
func filterOf(code string) string {
	base := path.Base(strings.TrimPrefix(code, "oci://"))
	base, _, _ = strings.Cut(base, "@")
	base, _, _ = strings.Cut(base, ":")
	return validName(strings.TrimSuffix(base, ".wasm"))
}

// pluginConfig reads what a filter was configured with. Text that is an object as JSON is that; other text is asked for.
func (p *plan) pluginConfig(m *migrated, v any) error {
	switch config := v.(type) {
	case nil:
	case map[string]any:
		kind, _ := config["@type"].(string)
		switch {
		case strings.HasSuffix(kind, "google.protobuf.StringValue"), strings.HasSuffix(kind, "google.protobuf.Struct"):
			return p.pluginConfig(m, config["value"])
		case kind != "":
			delete(config, "@type")
		}
		data, err := json.Marshal(config)
		if err != nil {
			return err
		}
		m.spec.PluginConfig = &structpb.Struct{}
		return protojson.Unmarshal(data, m.spec.PluginConfig)
	case string:
		if config == "" {
			return nil
		}
		var parsed structpb.Struct
		if protojson.Unmarshal([]byte(config), &parsed) == nil {
			m.spec.PluginConfig = &parsed
			m.note("its configuration was JSON in a text, and is pluginConfig now")
			return nil
		}
		answer, ok := p.ask(m, "config", fmt.Sprintf("its configuration is the text %q, and pluginConfig is an object. which, for this filter?", config), `'{"value":`+strconv.Quote(config)+`}'`)
		if !ok {
			return nil
		}
		data, err := yaml.YAMLToJSON([]byte(answer))
		if err != nil {
			return fmt.Errorf("--set config.%s: %w", m.name, err)
		}
		if err := protojson.Unmarshal(data, &parsed); err != nil {
			return fmt.Errorf("--set config.%s: want an object", m.name)
		}
		m.spec.PluginConfig = &parsed
	default:
		return fmt.Errorf("%s: %s: configuration %v is neither text nor an object", m.place, m.origin, v)
	}
	return nil
}

// parseLabels reads a=b,c=d.
func parseLabels(text string) (map[string]string, error) {
	labels := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("%q: want label=value[,label=value]", text)
		}
		labels[key] = value
	}
	return labels, nil
}

// inOrder asks for the order of filters that had only the time of their creation: each was put just before the router.
func (p *plan) inOrder() {
	byNamespace := map[string][]*migrated{}
	for _, m := range p.found {
		if m.unordered {
			byNamespace[m.namespace] = append(byNamespace[m.namespace], m)
		}
	}
	for _, m := range p.found {
		if !m.unordered {
			continue
		}
		priority := int32(10)
		if len(byNamespace[m.namespace]) > 1 {
			answer, ok := p.ask(m, "priority", "the order among filters of this namespace was that of their creation, which no file has. the higher priority runs first:", "20")
			n, err := strconv.ParseInt(answer, 10, 32)
			if ok && err != nil {
				p.questions = append(p.questions, fmt.Sprintf("--set priority.%s=%s: want a whole number", m.name, answer))
			}
			priority = int32(n)
		}
		m.spec.Priority = wrapperspb.Int32(priority)
	}
}

// pinned finds the digest of each filter's image.
func (p *plan) pinned() error {
	for _, m := range p.found {
		if !catalog.ValidName(m.name) {
			m.note("is called %s here: a name has lower-case letters, digits and dashes", validName(m.name))
			m.name = validName(m.name)
		}
		if _, ok := p.modules[m.filter]; ok {
			continue // it becomes a filter of this repository
		}
		if answer, ok := p.answers["image."+m.name]; ok {
			p.asked["image."+m.name] = true
			m.code = answer
		}
		ref, err := image.ParseRef(strings.TrimPrefix(m.code, "oci://"))
		if err == nil {
			m.ref, m.filter = ref, ref.Filter()
			continue
		}
		switch {
		case strings.HasPrefix(m.code, "/"), strings.Contains(m.code, "://") && !strings.HasPrefix(m.code, "oci://"):
			p.ask(m, "image", fmt.Sprintf("its code is %s, which is no image of a registry. publish it and give the reference, or give the file with --module %s=FILE.wasm:", m.code, m.filter), "REGISTRY/PATH:TAG@sha256:…")
		case strings.HasPrefix(strings.TrimPrefix(m.code, "oci://"), "webassemblyhub.io/"):
			p.ask(m, "image", fmt.Sprintf("its image is %s, and WebAssembly Hub is gone. give the module with --module %s=FILE.wasm (wasme kept it below ~/.wasme/store), or another image:", m.code, m.filter), "REGISTRY/PATH:TAG@sha256:…")
		case p.resolve:
			if m.ref, err = p.resolveTag(m.code); err != nil {
				return fmt.Errorf("%s: %s: %w", m.place, m.origin, err)
			}
			m.filter = m.ref.Filter()
			m.note("its tag is pinned as the registry has it now: %s", m.ref)
		default:
			p.ask(m, "image", fmt.Sprintf("its image %s has no digest. --resolve asks the registry for it; or:", m.code), "REGISTRY/PATH:TAG@sha256:…")
		}
	}
	return nil
}

// explicit fills in what Istio, or wasme, took when nothing was said.
func (m *migrated) explicit() {
	if m.spec.ImagePullPolicy == extensions.PullPolicy_UNSPECIFIED_POLICY {
		m.spec.ImagePullPolicy = extensions.PullPolicy_IfNotPresent
	}
}

// modeOf is the mode of a context of wasme or of an EnvoyFilter; false for a gateway's.
func modeOf(context string) (mode typev1beta1.WorkloadMode, known bool) {
	switch strings.ToUpper(context) {
	case "INBOUND", "SIDECAR_INBOUND", "":
		return typev1beta1.WorkloadMode_SERVER, true
	case "OUTBOUND", "SIDECAR_OUTBOUND":
		return typev1beta1.WorkloadMode_CLIENT, true
	case "ANY":
		return typev1beta1.WorkloadMode_CLIENT_AND_SERVER, true
	}
	return typev1beta1.WorkloadMode_CLIENT, slices.Contains([]string{"GATEWAY"}, strings.ToUpper(context))
}
