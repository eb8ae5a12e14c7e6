package verify

import (
	"testing"

	"github.com/stretchr/testify/require"
	extensions "istio.io/api/extensions/v1alpha1"
	typev1beta1 "istio.io/api/type/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/proxystatus"
	"github.com/wasmfleet/wasmfleet/internal/selection"
)

// Which objects the proxy of a pod is to run: by what the pod is. A waypoint's services are not seen, and that is said.
func TestExpected(t *testing.T) {
	t.Parallel()
	named := func(name string, ref *typev1beta1.PolicyTargetReference, modes ...typev1beta1.WorkloadMode) object {
		o := object{proxystatus.Want{Object: "web/" + name}, selection.Plugin{Namespace: "web"}}
		if ref != nil {
			o.selection.Refs = []*typev1beta1.PolicyTargetReference{ref}
		}
		for _, m := range modes {
			o.selection.Match = append(o.selection.Match, &extensions.WasmPlugin_TrafficSelector{Mode: m})
		}
		return o
	}
	e := expected{env: manifests.Environment{}, objects: []object{
		named("all", nil),
		named("inbound", nil, typev1beta1.WorkloadMode_SERVER),
		named("gateway", &typev1beta1.PolicyTargetReference{Group: selection.GatewayGroup, Kind: "Gateway", Name: "edge"}),
		named("service", &typev1beta1.PolicyTargetReference{Kind: "Service", Name: "orders"}),
	}}
	pod := func(labels map[string]string, args ...string) corev1.Pod {
		return corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "web", Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: container, Args: args}}},
		}
	}
	for name, c := range map[string]struct {
		pod            corev1.Pod
		wants, unclear []string
	}{
		"sidecar":          {pod(nil, "proxy", "sidecar"), []string{"web/all", "web/inbound"}, nil},
		"gateway by hand":  {pod(nil, "proxy", "router"), []string{"web/all"}, nil},
		"gateway":          {pod(map[string]string{selection.GatewayName: "edge"}), []string{"web/all", "web/gateway"}, nil},
		"waypoint":         {pod(map[string]string{selection.GatewayName: "way", managed: waypointController}), nil, []string{"web/service"}},
		"other namespace":  {corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "else"}}, nil, nil},
		"waypoint of edge": {pod(map[string]string{selection.GatewayName: "edge", managed: waypointController}), []string{"web/gateway"}, []string{"web/service"}},
	} {
		wants, unclear := e.of(c.pod)
		var gotWants, gotUnclear []string
		for _, w := range wants {
			gotWants = append(gotWants, w.Object)
		}
		for _, v := range unclear {
			require.Equal(t, proxystatus.Unknown, v.State)
			gotUnclear = append(gotUnclear, v.Object)
		}
		require.Equal(t, c.wants, gotWants, name)
		require.Equal(t, c.unclear, gotUnclear, name)
	}
}
