package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	matchingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/matching/v3"
	compositev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/composite/v3"
	hashingv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/consistent_hashing/v3"
	httpinputv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	networking "istio.io/api/networking/v1alpha3"
)

// Canary is a share of requests that another version of a filter gets, in each proxy: an EnvoyFilter that puts a split in place of
// the filter which istiod makes of the stable object. That one stays as it is, with its place in the chain; when the EnvoyFilter goes,
// all requests are its again.
type Canary struct {
	Plugin  *Plugin // the canary: the stable plugin with another url, and perhaps another pluginConfig
	Percent float64 // of 0 to 100, two decimals
	Key     string  // the header whose value decides, so that equal values go the same way
}

// RequestKey is the header that is another for each request.
const RequestKey = "x-request-id"

// The annotations of a canary's EnvoyFilter, from which it is read back.
const (
	canaryOf      = "wasmfleet.dev/canary-of" // kind/name of the stable object
	canaryPercent = "wasmfleet.dev/canary-percent"
	canaryKey     = "wasmfleet.dev/canary-key"
)

// hundred is 100 percent in the steps that Percent may have.
const hundred = 10_000

// Name is that of the EnvoyFilter.
func (c *Canary) Name() string { return c.Plugin.Name + "-canary" }

// Mesh is what of an environment decides what istiod calls the filter of a plugin.
type Mesh struct {
	Istio string // the minor
	API   string // what a WasmPlugin is rendered as
}

// Resource is what istiod calls the filter of a plugin: pilot/pkg/model's extensions, and from 1.30 on its conversion of WasmPlugins
// (https://github.com/istio/istio, release-1.28 to release-1.31).
func (m Mesh) Resource(p *Plugin) string {
	id := p.Namespace + "." + p.Name
	minor, err := strconv.Atoi(strings.TrimPrefix(m.Istio, "1."))
	switch {
	case err == nil && minor < 30:
		return "extensions.istio.io/wasmplugin/" + id
	case p.API() == TrafficExtension, p.API() == APIs[0] && m.API == TrafficExtension.Kind:
		return "extensions.istio.io/trafficextension/" + id
	default:
		return "extensions.istio.io/trafficextension/" + id + "~istio-translated-wasmplugin"
	}
}

// Object is the EnvoyFilter beside a stable plugin, as JSON.
func (c *Canary) Object(mesh Mesh) ([]byte, error) {
	p := c.Plugin
	ef, err := c.envoyFilter(mesh)
	if err != nil {
		return nil, err
	}
	spec, err := specOf(ef)
	if err != nil {
		return nil, err
	}
	metadata := map[string]any{
		"name": c.Name(),
		"annotations": map[string]any{
			canaryOf:      p.Kind + "/" + p.Name,
			canaryPercent: strconv.FormatFloat(c.Percent, 'f', -1, 64),
			canaryKey:     c.Key,
		},
	}
	if p.Namespace != "" {
		metadata["namespace"] = p.Namespace
	}
	return json.Marshal(map[string]any{"apiVersion": EnvoyFilter.APIVersion, "kind": EnvoyFilter.Kind, "metadata": metadata, "spec": spec})
}

func (c *Canary) envoyFilter(mesh Mesh) (*networking.EnvoyFilter, error) {
	p := c.Plugin
	id := p.ID() + ".canary"
	filter, err := p.discovered(id)
	if err != nil {
		return nil, err
	}
	ef, err := p.withResource(filter)
	if err != nil {
		return nil, err
	}
	if c.Percent == 0 {
		return ef, nil // nobody refers to the canary, so no proxy asks for it
	}
	split, err := structOf(c.split(mesh.Resource(p), id))
	if err != nil {
		return nil, err
	}
	ef.ConfigPatches = append(ef.ConfigPatches, &networking.EnvoyFilter_EnvoyConfigObjectPatch{
		ApplyTo: networking.EnvoyFilter_HTTP_FILTER,
		Match: &networking.EnvoyFilter_EnvoyConfigObjectMatch{
			ObjectTypes: &networking.EnvoyFilter_EnvoyConfigObjectMatch_Listener{Listener: &networking.EnvoyFilter_ListenerMatch{
				FilterChain: &networking.EnvoyFilter_ListenerMatch_FilterChainMatch{Filter: &networking.EnvoyFilter_ListenerMatch_FilterMatch{
					Name: hcm, SubFilter: &networking.EnvoyFilter_ListenerMatch_SubFilterMatch{Name: mesh.Resource(p)},
				}},
			}},
		},
		Patch: &networking.EnvoyFilter_Patch{Operation: networking.EnvoyFilter_Patch_REPLACE, Value: split},
	})
	return ef, nil
}

// split is the HTTP filter that stands in the chain: either of the two filters, by name, for each request.
func (c *Canary) split(stable, canary string) proto.Message {
	if c.Percent == 100 {
		return reference(canary)
	}
	run := func(resource string) *matcherv3.Matcher_OnMatch {
		return &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Action{Action: &xdscorev3.TypedExtensionConfig{
			Name: "composite-action",
			TypedConfig: must(&compositev3.ExecuteFilterAction{DynamicConfig: &compositev3.DynamicConfig{
				Name: resource, ConfigDiscovery: discovery(),
			}}),
		}}}
	}
	// Envoy's hash of the value and the seed, modulo 10,000, is at or over the threshold. The seed is the filter's own, and never
	// changes with the share: who is in at 10 % is in at 50 %, and two canaries do not have the same users.
	seed := fnv.New64a()
	fmt.Fprint(seed, c.Plugin.ID())
	hashing := &hashingv3.ConsistentHashing{Threshold: hundred - uint32(c.Percent*hundred/100+0.5), Modulo: hundred, Seed: seed.Sum64() >> 12} // JSON's numbers end at 2^53
	predicate := &matcherv3.Matcher_MatcherList_Predicate{MatchType: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
		SinglePredicate: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
			Input: &xdscorev3.TypedExtensionConfig{Name: "request-headers", TypedConfig: must(&httpinputv3.HttpRequestHeaderMatchInput{HeaderName: c.Key})},
			Matcher: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_CustomMatch{CustomMatch: &xdscorev3.TypedExtensionConfig{
				Name: "envoy.matching.matchers.consistent_hashing", TypedConfig: must(hashing),
			}},
		},
	}}
	return &corev3.TypedExtensionConfig{
		Name: c.Plugin.ID() + ".split",
		TypedConfig: must(&matchingv3.ExtensionWithMatcher{
			XdsMatcher: &matcherv3.Matcher{
				MatcherType: &matcherv3.Matcher_MatcherList_{MatcherList: &matcherv3.Matcher_MatcherList{
					Matchers: []*matcherv3.Matcher_MatcherList_FieldMatcher{{Predicate: predicate, OnMatch: run(canary)}},
				}},
				OnNoMatch: run(stable), // also of a request without that header
			},
			ExtensionConfig: &corev3.TypedExtensionConfig{Name: "composite", TypedConfig: must(&compositev3.Composite{})},
		}),
	}
}

// CanaryOf says of an EnvoyFilter's annotations which object it is the canary of, as kind and name; false of any other.
func CanaryOf(annotations map[string]string) (kind, name string, ok bool) {
	return strings.Cut(annotations[canaryOf], "/")
}

// ReadCanary reads a canary back: the stable plugin that it is beside, its annotations and its spec, as JSON.
func ReadCanary(stable *Plugin, annotations map[string]string, spec []byte) (*Canary, error) {
	percent, err := ParsePercent(annotations[canaryPercent])
	if err != nil {
		return nil, err
	}
	c := &Canary{Plugin: stable.clone(), Percent: percent, Key: annotations[canaryKey]}
	if _, err := ParseKey("header:" + c.Key); err != nil {
		return nil, err
	}
	var ef networking.EnvoyFilter
	if err := protojson.Unmarshal(spec, &ef); err != nil {
		return nil, err
	}
	for _, patch := range ef.ConfigPatches {
		if patch.ApplyTo != networking.EnvoyFilter_EXTENSION_CONFIG {
			continue
		}
		filter, err := wasmOf(patch.Patch.GetValue().GetFields()["typed_config"].GetStructValue())
		if err != nil {
			return nil, err
		}
		c.Plugin.Spec.Url = filter.Config.GetVmConfig().GetCode().GetRemote().GetHttpUri().GetUri()
		c.Plugin.Spec.PluginConfig, err = pluginConfigOf(filter)
		return c, err
	}
	return nil, errors.New("no EXTENSION_CONFIG with the canary's filter")
}

// ParsePercent reads a share.
func ParsePercent(text string) (float64, error) {
	p, err := strconv.ParseFloat(text, 64)
	if err != nil || p < 0 || p > 100 || p*100 != float64(int(p*100+0.5)) {
		return 0, fmt.Errorf("percent %q: want a number from 0 to 100 with at most two decimals", text)
	}
	return p, nil
}

// ParseKey reads what decides: request, or header:NAME.
func ParseKey(text string) (header string, err error) {
	if text == "request" {
		return RequestKey, nil
	}
	header, ok := strings.CutPrefix(text, "header:")
	if !ok || header == "" || header != strings.ToLower(header) || strings.ContainsAny(header, " :\t\"") {
		return "", fmt.Errorf("key %q: want header:NAME in lower case, or request", text)
	}
	if header == "cookie" {
		return "", fmt.Errorf("key %q: the whole header changes with every cookie. put the one that names the user into a header of its own first", text)
	}
	return header, nil
}

func (p *Plugin) clone() *Plugin {
	c := *p
	c.WasmPlugin = p.DeepCopy()
	c.rendered = nil
	return &c
}

// With is the plugin with another image, and with another configuration where one is given.
func (p *Plugin) With(url string, config *structpb.Struct) *Plugin {
	c := p.clone()
	c.Spec.Url, c.Spec.Sha256 = url, ""
	if config != nil {
		c.Spec.PluginConfig = config
	}
	return c
}
