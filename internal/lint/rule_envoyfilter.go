package lint

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

var ruleEnvoyFilter = Rule{
	"envoy-filter",
	"an EnvoyFilter of a Wasm filter works when its image is missing, and on the proxies of this Istio",
	`config_discovery with the type_url of Wasm alone, or proxyVersion: ^1\.9.*`,
	func(r *manifests.Result, found report) {
		for _, o := range r.Objects {
			if o.GetKind() != plugin.EnvoyFilter.Kind {
				continue
			}
			ef, ok := envoyFilterOf(o)
			if !ok {
				continue // the schema rule says why
			}
			for i, patch := range ef.ConfigPatches {
				field := []string{"spec", "configPatches", strconv.Itoa(i)}
				if version := patch.GetMatch().GetProxy().GetProxyVersion(); version != "" {
					expression, err := regexp.Compile("^(?:" + version + ")")
					if err != nil || !slices.ContainsFunc([]string{"0", "1", "9"}, func(p string) bool { return expression.MatchString(r.Env.Istio + "." + p) }) {
						found(atObject(o, append(field, "match", "proxy", "proxyVersion")...), "proxyVersion %q matches no proxy of Istio %s, which the environment runs: the patch does nothing. change it, or leave it out", version, r.Env.Istio)
					}
				}
				types := typeURLs(patch)
				if slices.ContainsFunc(types, isWasmType) && !slices.ContainsFunc(types, isRBACType) {
					found(atObject(o, append(field, "patch", "value", "config_discovery", "type_urls")...), "type_urls has no RBAC filter: Envoy refuses what the agent sends in place of an image that is missing, and the listener waits for ever. add type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC")
				}
			}
		}
	},
}

func envoyFilterOf(o manifests.Object) (*networking.EnvoyFilter, bool) {
	spec, err := o.Spec()
	if err != nil {
		return nil, false
	}
	var ef networking.EnvoyFilter
	return &ef, protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(spec, &ef) == nil
}

// typeURLs are those that a discovered filter may have.
func typeURLs(patch *networking.EnvoyFilter_EnvoyConfigObjectPatch) (all []string) {
	discovery := patch.GetPatch().GetValue().GetFields()["config_discovery"].GetStructValue()
	for _, v := range discovery.GetFields()["type_urls"].GetListValue().GetValues() {
		all = append(all, v.GetStringValue())
	}
	return all
}

func isWasmType(url string) bool { return strings.HasSuffix(url, ".wasm.v3.Wasm") }
func isRBACType(url string) bool { return strings.HasSuffix(url, ".rbac.v3.RBAC") }
