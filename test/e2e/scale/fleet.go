package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// The forms in which plugins meet proxies.
const (
	everyone   = "everyone"   // no selector, all in one namespace: each proxy gets each plugin
	selected   = "selected"   // a selector for one workload, all in one namespace
	namespaces = "namespaces" // no selector, each workload in a namespace of its own
)

// forms are all of them.
var forms = []string{everyone, selected, namespaces}

// replicas of a workload, which are all proxies of one selector or one namespace.
const replicas = 10

// A fleet is so many plugins, as objects of an API, and so many proxies.
type fleet struct {
	API, Form        string
	Plugins, Proxies int
}

func (f fleet) String() string {
	return fmt.Sprintf("%s, %s, %d plugins, %d proxies", f.API, f.Form, f.Plugins, f.Proxies)
}

func (f fleet) workloads() int { return max(1, f.Proxies/replicas) }

func (f fleet) namespace(i int) string {
	if f.Form == namespaces {
		return fmt.Sprintf("apps-%d", i%f.workloads())
	}
	return "apps"
}

func (f fleet) workload(i int) string { return fmt.Sprintf("web-%d", i%f.workloads()) }

// gets says whether a proxy gets a plugin.
func (f fleet) gets(proxy, plugin int) bool {
	return f.Form == everyone || proxy%f.workloads() == plugin%f.workloads()
}

// object is a plugin in the API, rendered as render does. What marks its configuration is found again in what istiod sends.
func (f fleet) object(i int, mark string) (string, error) {
	spec := map[string]any{
		"url":             fmt.Sprintf("oci://registry.internal/filters/filter%d:v1@sha256:%064x", i, i),
		"imagePullPolicy": "IfNotPresent",
		"match":           []any{map[string]any{"mode": "SERVER"}},
		"phase":           "STATS",
		"priority":        i + 1,
		"failStrategy":    "FAIL_RELOAD",
		"pluginConfig":    map[string]any{"name": fmt.Sprintf("x-filter-%d", i), "value": mark},
	}
	if f.Form == selected {
		spec["selector"] = map[string]any{"matchLabels": map[string]any{"app": f.workload(i)}}
	}
	written, err := json.Marshal(map[string]any{
		"apiVersion": plugin.WasmPlugin.APIVersion, "kind": plugin.WasmPlugin.Kind,
		"metadata": map[string]any{"name": fmt.Sprintf("filter%d", i), "namespace": f.namespace(i)},
		"spec":     spec,
	})
	if err != nil {
		return "", err
	}
	read, err := plugin.Plugins(map[string][]byte{"written.yaml": written})
	if err != nil {
		return "", err
	}
	// What a filter that sets a header uses.
	facts := plugin.Facts{Capabilities: []string{
		"proxy_get_buffer_bytes", "proxy_log", "proxy_on_configure", "proxy_on_context_create", "proxy_on_delete",
		"proxy_on_response_headers", "proxy_on_vm_start", "proxy_replace_header_map_value", "proxy_set_effective_context",
	}}
	rendered, err := plugin.APIOf(f.API).Object(read[0], facts, written)
	return "---\n" + string(rendered) + "\n", err
}

// objects are all plugins, and in each namespace what gives its proxies a listener for requests that come and one for those that go.
func (f fleet) objects() (string, error) {
	var all strings.Builder
	done := map[string]bool{}
	for i := range f.workloads() {
		if ns := f.namespace(i); !done[ns] {
			done[ns] = true
			fmt.Fprintf(&all, listeners, ns)
		}
	}
	for i := range f.Plugins {
		o, err := f.object(i, "as it was")
		if err != nil {
			return "", err
		}
		all.WriteString(o)
	}
	return all.String(), nil
}

const listeners = `---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: %[1]s}
spec:
  ingress:
  - {port: {number: 8080, protocol: HTTP, name: http}, defaultEndpoint: "127.0.0.1:8081"}
  egress:
  - {port: {number: 9080, protocol: HTTP, name: http}, hosts: ["./*"]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: backend, namespace: %[1]s}
spec:
  hosts: [backend.internal]
  exportTo: ["."]
  resolution: STATIC
  ports: [{number: 9080, name: http, protocol: HTTP}]
  endpoints: [{address: 10.255.0.1}]
`
