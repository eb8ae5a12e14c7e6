package main

import "google.golang.org/protobuf/proto"

var ruleSharedVM = rule{
	"shared-vm",
	"plugins of one image have the same vmConfig: Envoy gives them one VM, with the environment of whichever came first",
	func(t *tree, found func(plugin, string, ...any)) {
		for i, p := range t.plugins {
			for _, q := range t.plugins[:i] {
				if p.Spec.Url == q.Spec.Url && !proto.Equal(p.Spec.VmConfig, q.Spec.VmConfig) {
					found(p, "vmConfig differs from that of %q, which has the same image: both would get one VM and one environment. put the difference into pluginConfig", q.Name)
				}
			}
		}
	},
}
