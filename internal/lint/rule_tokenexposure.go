package lint

import "github.com/wasmfleet/wasmfleet/internal/manifests"

var ruleTokenExposure = Rule{
	"token-exposure",
	"a token does not go to clients: exposeTokenToClients in a pluginConfig is reported",
	"pluginConfig.exposeTokenToClients: true",
	func(r *manifests.Result, found report) {
		for _, p := range r.Plugins {
			if _, ok := p.Spec.PluginConfig.GetFields()["exposeTokenToClients"]; ok {
				found(at(p, "pluginConfig", "exposeTokenToClients"), "pluginConfig.exposeTokenToClients shows the service's token to every client. remove it, or allow it in environment.yaml with the reason")
			}
		}
	},
}
