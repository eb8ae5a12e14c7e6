package selection

import (
	"testing"

	"github.com/stretchr/testify/require"
	extensions "istio.io/api/extensions/v1alpha1"
	typev1beta1 "istio.io/api/type/v1beta1"
)

// Whether two plugins can be in one filter chain, and in one proxy.
func TestMeet(t *testing.T) {
	env := Environment{RootNamespace: "mesh", Waypoints: []string{"web/waypoint"}, Said: true}
	labels := func(namespace string, pairs ...string) Plugin {
		p := Plugin{Namespace: namespace, Labels: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			p.Labels[pairs[i]] = pairs[i+1]
		}
		return p
	}
	mode := func(p Plugin, m typev1beta1.WorkloadMode) Plugin {
		p.Match = []*extensions.WasmPlugin_TrafficSelector{{Mode: m}}
		return p
	}
	ref := func(namespace, group, kind, name string) Plugin {
		return Plugin{Namespace: namespace, Refs: []*typev1beta1.PolicyTargetReference{{Group: group, Kind: kind, Name: name}}}
	}
	web := labels("web", "app", "web")
	service, another := ref("web", "", "Service", "reviews"), ref("web", "", "Service", "ratings")
	waypoint, public := ref("web", GatewayGroup, "Gateway", "waypoint"), ref("web", GatewayGroup, "Gateway", "public")
	for name, c := range map[string]struct {
		a, b        Plugin
		meet, share bool
	}{
		"the same":                        {web, web, true, true},
		"other labels":                    {web, labels("web", "app", "other"), false, false},
		"more labels":                     {web, labels("web", "version", "v1"), true, true},
		"other namespaces":                {web, labels("other", "app", "web"), false, false},
		"the root namespace":              {web, labels("mesh", "app", "web"), true, true},
		"the whole mesh":                  {web, labels("mesh"), true, true},
		"inbound and outbound":            {mode(web, typev1beta1.WorkloadMode_SERVER), mode(web, typev1beta1.WorkloadMode_CLIENT), false, true},
		"a selector and a waypoint":       {web, waypoint, false, false},
		"a selector and a gateway":        {web, public, true, true}, // its pods may have that label, too
		"two services of a waypoint":      {service, another, false, true},
		"a service and its waypoint":      {service, waypoint, true, true},
		"two gateways":                    {public, ref("web", GatewayGroup, "Gateway", "other"), false, false},
		"a gateway and all of the class":  {public, ref("mesh", GatewayGroup, "GatewayClass", WaypointClass), false, false},
		"a waypoint and all of the class": {waypoint, ref("mesh", GatewayGroup, "GatewayClass", WaypointClass), true, true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, pair := range [][2]Plugin{{c.a, c.b}, {c.b, c.a}} {
				require.Equal(t, c.meet, env.MayMeet(pair[0], pair[1]), "meet")
				require.Equal(t, c.share, env.MayShare(pair[0], pair[1]), "share")
			}
		})
	}
}
