package lint

import (
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/selection"
	"google.golang.org/protobuf/proto"
)

var ruleSharedVM = Rule{
	"shared-vm",
	"plugins of one image in one proxy have the same vmConfig: Envoy gives them one VM, with the environment of whichever came first",
	"two plugins with one url, one of them with vmConfig.env",
	func(r *manifests.Result, found report) {
		for i, p := range r.Plugins {
			for _, q := range r.Plugins[:i] {
				if p.Spec.Url == q.Spec.Url && !proto.Equal(p.Spec.VmConfig, q.Spec.VmConfig) &&
					r.Env.Selection().MayShare(selection.Of(p.Namespace, &p.Spec), selection.Of(q.Namespace, &q.Spec)) {
					found(at(p, "vmConfig"), "vmConfig differs from that of %q, which has the same image and can be in the same proxy: both would get one VM and one environment. put the difference into pluginConfig", q.Name)
				}
			}
		}
	},
}
