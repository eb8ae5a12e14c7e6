package metric

import (
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// Object is the Istio object that the plugin comes from, as namespace/name: a proxy may run several objects of one filter. Call it in
// OnPluginStart.
func Object() string {
	name, _ := proxywasm.GetProperty([]string{"plugin_name"})
	return objectName(string(name))
}

// objectName takes what the host calls the plugin. For Istio that is web.mine, in some versions with something before a slash and
// behind a tilde.
func objectName(plugin string) string {
	plugin = plugin[strings.LastIndexByte(plugin, '/')+1:]
	plugin, _, _ = strings.Cut(plugin, "~")
	if plugin == "" {
		return "unnamed"
	}
	return strings.Replace(plugin, ".", "/", 1)
}

// Prefix is what the names of a filter's metrics begin with, so that each object has its own. Istio makes a label of what follows
// wasm_filter, up to the next point: docs/metrics.md.
func Prefix(object, filter string) string {
	return "wasm_filter." + strings.ReplaceAll(object, ".", "_") + "." + filter + "."
}
