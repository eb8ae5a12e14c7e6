package migrate

import (
	"cmp"
	"fmt"
	"strings"

	extensions "istio.io/api/extensions/v1alpha1"
	typev1beta1 "istio.io/api/type/v1beta1"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// istio reads a WasmPlugin, a TrafficExtension, or an EnvoyFilter with a Wasm filter, ours or by hand.
func (p *plan) istio(o object) error {
	plugins, err := plugin.Plugins(map[string][]byte{o.place: o.yaml})
	if err != nil {
		return cli.Finding("%w", err)
	}
	if len(plugins) == 0 && o.Kind == plugin.EnvoyFilter.Kind {
		return p.envoyFilter(o)
	}
	if len(plugins) == 0 {
		p.notes = append(p.notes, fmt.Sprintf("%s: %s has no Wasm module, and stays as it is", o.place, o))
		return nil
	}
	was := plugins[0]
	m := &migrated{
		place: o.place, origin: o.String(), name: o.Metadata.Name, namespace: o.Metadata.Namespace,
		code: was.Spec.Url, filter: filterOf(was.Spec.Url),
		spec: was.Spec.DeepCopy(), was: was.Spec.DeepCopy(),
	}
	if m.spec.Sha256 != "" && !strings.Contains(m.code, "@") && strings.HasPrefix(m.code, "oci://") {
		m.note("sha256 without a digest in url: the digest is written into url")
		m.code += "@sha256:" + m.spec.Sha256
	}
	m.spec.Url, m.spec.Sha256 = "", ""
	m.explicit()
	p.found = append(p.found, m)
	if was.Spec.Type == extensions.PluginType_NETWORK {
		p.notes = append(p.notes, fmt.Sprintf("%s: %s is of type NETWORK, which this does not render: keep the object as it is", o.place, o))
		p.found = p.found[:len(p.found)-1]
	}
	return nil
}

const (
	wasmSuffix  = ".wasm.v3.Wasm"
	structKind  = "TypedStruct"
	oldHCM      = "envoy.http_connection_manager"
	oldRouter   = "envoy.router"
	wasmName    = "envoy.filters.http.wasm"
	contextText = "match context %s of a gateway's listener, without labels: it was for every gateway of the namespace. which pods?"
)

// envoyFilter reads one by hand, or of wasme: the filter in the chain, inline or by discovery.
func (p *plan) envoyFilter(o object) error {
	spec := o.content["spec"]
	discovered := map[string]any{} // configuration by the name of an EXTENSION_CONFIG
	for _, patch := range listAt(spec, "configPatches") {
		if textAt(patch, "applyTo") == "EXTENSION_CONFIG" {
			if config := wasmConfig(at(patch, "patch", "value")); config != nil {
				discovered[textAt(patch, "patch", "value", "name")] = config
			}
		}
	}
	used, others := map[string]bool{}, 0
	for i, patch := range listAt(spec, "configPatches") {
		value := at(patch, "patch", "value")
		config := wasmConfig(value)
		if name := textAt(value, "name"); config == nil && at(value, "config_discovery|configDiscovery") != nil {
			config = discovered[name]
			if used[name] && config != nil {
				continue // the same filter in another context
			}
			used[name] = true
		}
		switch {
		case textAt(patch, "applyTo") == "EXTENSION_CONFIG":
		case textAt(patch, "applyTo") == "HTTP_FILTER" && config != nil:
			if err := p.byHand(o, i, patch, config); err != nil {
				return err
			}
		default:
			others++
		}
	}
	switch {
	case others > 0 && len(used)+len(discovered) > 0 || others > 0 && p.has(o):
		p.notes = append(p.notes, fmt.Sprintf("%s: %s has %d more patches, which are not about Wasm. keep them in an EnvoyFilter without the filter", o.place, o, others))
	case !p.has(o):
		p.notes = append(p.notes, fmt.Sprintf("%s: %s has no Wasm filter in the chain of HTTP filters, and stays as it is", o.place, o))
	}
	return nil
}

func (p *plan) has(o object) bool {
	for _, m := range p.found {
		if m.place == o.place {
			return true
		}
	}
	return false
}

// wasmConfig is the PluginConfig of a filter: typed, in a TypedStruct, or untyped as before Istio 1.7; nil when it is another filter.
func wasmConfig(value any) any {
	typed := at(value, "typed_config|typedConfig")
	kind := textAt(typed, "@type")
	switch {
	case strings.HasSuffix(kind, wasmSuffix):
		return at(typed, "config")
	case strings.HasSuffix(kind, structKind) && strings.HasSuffix(textAt(typed, "type_url|typeUrl"), wasmSuffix):
		return at(typed, "value", "config")
	case textAt(value, "name") == wasmName && at(value, "config", "config") != nil:
		return at(value, "config", "config")
	}
	return nil
}

func (p *plan) byHand(o object, number int, patch, config any) error {
	code := at(config, "vm_config|vmConfig", "code")
	m := &migrated{
		place: o.place, origin: o.String(), name: o.Metadata.Name, namespace: o.Metadata.Namespace,
		code: cmp.Or(textAt(code, "local", "filename"), textAt(code, "remote", "http_uri|httpUri", "uri")),
		spec: &extensions.WasmPlugin{PluginName: textAt(config, "root_id|rootId"), FailStrategy: failStrategy(config)},
	}
	if m.code == "" {
		return cli.Finding("%s: %s: configPatches %d: the code is neither a local file nor remote. give it by hand", o.place, o, number)
	}
	if sum := textAt(code, "remote", "sha256"); sum != "" && strings.HasPrefix(m.code, "oci://") && !strings.Contains(m.code, "@") {
		m.note("its sha256 is taken for the digest of the image, as Istio's agent does")
		m.code += "@sha256:" + sum
	}
	m.filter = filterOf(m.code)
	if strings.Contains(m.code, "wasme-cache") { // the file's name is a hash
		m.filter = validName(cmp.Or(textAt(config, "name"), m.name))
	}
	for _, other := range p.found {
		if other.place == o.place { // a second filter of one object
			m.name = fmt.Sprintf("%s-%d", o.Metadata.Name, number)
		}
	}
	p.found = append(p.found, m)
	if err := p.pluginConfig(m, at(config, "configuration")); err != nil {
		return err
	}
	environment := at(config, "vm_config|vmConfig", "environment_variables|environmentVariables")
	for name, value := range labelsAt(environment, "key_values|keyValues") {
		m.env(&extensions.EnvVar{Name: name, Value: value})
	}
	for _, name := range listAt(environment, "host_env_keys|hostEnvKeys") {
		m.env(&extensions.EnvVar{Name: fmt.Sprint(name), ValueFrom: extensions.EnvValueSource_HOST})
	}
	return p.place(o, m, patch)
}

func (m *migrated) env(e *extensions.EnvVar) {
	if m.spec.VmConfig == nil {
		m.spec.VmConfig = &extensions.VmConfig{}
	}
	m.spec.VmConfig.Env = append(m.spec.VmConfig.Env, e)
}

// failStrategy is Envoy's default where nothing is said: closed, once the module has been loaded.
func failStrategy(config any) extensions.FailStrategy {
	switch textAt(config, "failure_policy|failurePolicy") {
	case "FAIL_OPEN":
		return extensions.FailStrategy_FAIL_OPEN
	case "FAIL_RELOAD":
		return extensions.FailStrategy_FAIL_RELOAD
	}
	if at(config, "fail_open|failOpen") == true {
		return extensions.FailStrategy_FAIL_OPEN
	}
	return extensions.FailStrategy_FAIL_CLOSE
}

// place finds who gets the filter, and where in the chain.
func (p *plan) place(o object, m *migrated, patch any) error {
	labels := labelsAt(o.content, "spec", "workloadSelector", "labels")
	if len(labels) > 0 {
		m.spec.Selector = &typev1beta1.WorkloadSelector{MatchLabels: labels}
	}
	match := at(patch, "match")
	context := cmp.Or(textAt(match, "context"), "ANY")
	mode, known := modeOf(context)
	if !known {
		return cli.Finding("%s: %s: match context %q is none of a sidecar or gateway. give the filter by hand", o.place, o, context)
	}
	if context == "GATEWAY" && len(labels) == 0 {
		if answer, ok := p.ask(m, "labels", fmt.Sprintf(contextText, context), "istio=ingressgateway"); ok {
			if err := m.selects(answer, nil); err != nil {
				return err
			}
		}
	}
	m.spec.Match = []*extensions.WasmPlugin_TrafficSelector{{Mode: mode}}
	filter := at(match, "listener", "filterChain|filter_chain", "filter")
	name, sub := textAt(filter, "name"), textAt(filter, "subFilter|sub_filter", "name")
	if name == oldHCM || sub == oldRouter {
		p.ask(m, "run", fmt.Sprintf("it matches by %s, a name that Istio's proxies do not have any more (they have envoy.filters.…): it did nothing, and would run now. is that what you want?", cmp.Or(map[bool]string{true: name}[name == oldHCM], sub)), "yes")
	}
	if port := at(match, "listener", "portNumber|port_number"); port != nil {
		p.ask(m, "port", fmt.Sprintf("it was for listeners on port %v, which is not the port of a plugin's match. without ports?", port), "any")
	}
	if at(match, "proxy") != nil {
		m.note("its match by proxy version or metadata is not kept: an environment has one Istio")
	}
	switch operation := textAt(patch, "patch", "operation"); {
	case operation == "INSERT_FIRST":
		m.spec.Phase = extensions.PluginPhase_AUTHN
		m.note("it was first in the chain, and is phase AUTHN now: before Istio's authentication, after its CUSTOM authorization")
	case strings.HasSuffix(sub, "router") || sub == "":
		m.note("it was just before the router, and is UNSPECIFIED_PHASE now, after Istio's own filters")
	default:
		p.ask(m, "phase", fmt.Sprintf("it stood by %s (%s), and a plugin has a phase. which?", sub, operation), "AUTHN", "AUTHZ", "STATS")
		if phase, ok := extensions.PluginPhase_value[p.answers["phase."+m.name]]; ok {
			m.spec.Phase = extensions.PluginPhase(phase)
		}
	}
	m.unordered = true
	m.explicit()
	return nil
}
