package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	extensions "istio.io/api/extensions/v1alpha1"
	typev1beta1 "istio.io/api/type/v1beta1"
)

// filterDeployment reads wasme's object (wasme.io/v1, solo-io/wasm tools/wasme/cli/operator/api).
func (p *plan) filterDeployment(o object) error {
	spec := o.content["spec"]
	m := &migrated{
		place: o.place, origin: o.String(), name: o.Metadata.Name, namespace: o.Metadata.Namespace,
		code: textAt(spec, "filter", "image"), unordered: true,
		spec: &extensions.WasmPlugin{
			PluginName:   textAt(spec, "filter", "rootID|rootId|root_id"),
			FailStrategy: extensions.FailStrategy_FAIL_CLOSE,
		},
	}
	if m.name == "" {
		m.name = textAt(spec, "filter", "id")
	}
	m.filter = filterOf(m.code)
	p.found = append(p.found, m)
	if err := p.pluginConfig(m, at(spec, "filter", "config")); err != nil {
		return err
	}
	context := textAt(spec, "filter", "patchContext")
	mode, known := modeOf(context)
	if !known {
		return fmt.Errorf("%s: %s: patchContext %q: want inbound, outbound, any or gateway", o.place, o, context)
	}
	labels := labelsAt(spec, "deployment", "istio", "labels")
	switch {
	case strings.EqualFold(context, "gateway"):
		answer, ok := p.ask(m, "labels", "it is for gateways. which pods? ", "istio=ingressgateway")
		if !ok {
			break
		}
		if err := m.selects(answer, labels); err != nil {
			return err
		}
	case len(labels) > 0:
		answer, ok := p.ask(m, "labels", fmt.Sprintf("its labels %s are those of the %s, and a selector is about pods. have the pods the same?", said(labels), cmp.Or(textAt(spec, "deployment", "istio", "kind"), "workload")), "same", "app=…")
		if !ok {
			break
		}
		if err := m.selects(answer, labels); err != nil {
			return err
		}
	default:
		m.note("it is for every workload of the namespace, as before")
	}
	m.spec.Match = []*extensions.WasmPlugin_TrafficSelector{{Mode: mode}}
	if secret := textAt(spec, "filter", "imagePullOptions", "pullSecret"); secret != "" {
		m.spec.ImagePullSecret = secret
		m.note("secret %s must be of type kubernetes.io/dockerconfigjson now, in namespace %s: wasme's had username and password", secret, m.namespace)
	}
	if at(spec, "filter", "imagePullOptions", "insecureSkipVerify") == true || at(spec, "filter", "imagePullOptions", "plainHttp") == true {
		m.note("its registry was spoken to without TLS, or without looking at its certificate. Istio's agent needs ISTIO_META of the proxy for that; give the registry a certificate")
	}
	m.explicit()
	m.note("it ran last before the router, in the order of creation; it is phase UNSPECIFIED_PHASE with a priority now, after Istio's own filters")
	m.note("in a proxy whose filter could not be loaded, wasme's object let everything pass; failStrategy FAIL_CLOSE denies. choose in the overlay")
	p.leftovers = append(p.leftovers, fmt.Sprintf("%s, after its plugin runs in another environment; its operator then restarts the pods, since it takes the cache's volume out of them", o))
	return nil
}

// selects sets the selector: the labels that the object has, or others.
func (m *migrated) selects(answer string, labels map[string]string) error {
	if answer != "same" {
		var err error
		if labels, err = parseLabels(answer); err != nil {
			return fmt.Errorf("--set labels.%s: %w", m.name, err)
		}
	}
	if len(labels) > 0 {
		m.spec.Selector = &typev1beta1.WorkloadSelector{MatchLabels: labels}
	}
	return nil
}

func said(labels map[string]string) string {
	var all []string
	for k, v := range labels {
		all = append(all, k+"="+v)
	}
	slices.Sort(all)
	return strings.Join(all, ",")
}

// wasmeVolume are the annotations that put wasme's cache into pods.
var wasmeVolume = []string{"sidecar.istio.io/userVolume", "sidecar.istio.io/userVolumeMount"}

// leftover notes what wasme leaves behind, or says that the object is none of ours.
func (p *plan) leftover(o object) {
	template := labelsAt(o.content, "spec", "template", "metadata", "annotations")
	for key := range template {
		if slices.Contains(wasmeVolume, key) || strings.HasPrefix(key, "wasme-backup.") || strings.HasPrefix(key, "wasme_backup.") {
			p.leftovers = append(p.leftovers, fmt.Sprintf("annotation %s of %s (%s): the host's folder with modules; taking it out restarts the pods", key, o, o.place))
		}
	}
	before := len(p.leftovers)
	switch name := o.Metadata.Name; {
	case o.Kind == "Namespace" && name == "wasme", o.Metadata.Namespace == "wasme", strings.Contains(name, "wasme"):
		p.leftovers = append(p.leftovers, fmt.Sprintf("%s (%s): wasme's own", o, o.place))
	case o.Kind == "CustomResourceDefinition" && strings.HasSuffix(name, ".wasme.io"):
		p.leftovers = append(p.leftovers, fmt.Sprintf("%s (%s), last", o, o.place))
	}
	if len(p.leftovers) == before {
		p.notes = append(p.notes, fmt.Sprintf("%s: %s is none of what this reads, and stays as it is", o.place, o))
	}
}
