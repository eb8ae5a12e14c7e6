package main

import "google.golang.org/protobuf/proto"

var ruleSharedVM = rule{
	"shared-vm",
	"plugins of one image have the same vmConfig: Envoy gives them one VM, with the environment of whichever came first",
	"two plugins with one url, one of them with vmConfig.env",
	func(t *tree, found report) {
		for i, p := range t.plugins {
			for _, q := range t.plugins[:i] {
				if p.Spec.Url == q.Spec.Url && !proto.Equal(p.Spec.VmConfig, q.Spec.VmConfig) {
					found(p.at("vmConfig"), "vmConfig differs from that of %q, which has the same image: both would get one VM and one environment. put the difference into pluginConfig", q.Name)
				}
			}
		}
	},
}
