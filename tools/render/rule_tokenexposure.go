package main

var ruleTokenExposure = rule{
	"token-exposure",
	"a token does not go to clients: exposeTokenToClients in a pluginConfig is reported",
	"pluginConfig.exposeTokenToClients: true",
	func(t *tree, found report) {
		for _, p := range t.plugins {
			if _, ok := p.Spec.PluginConfig.GetFields()["exposeTokenToClients"]; ok {
				found(p.at("pluginConfig", "exposeTokenToClients"), "pluginConfig.exposeTokenToClients shows the service's token to every client. remove it, or allow it in environment.yaml with the reason")
			}
		}
	},
}
