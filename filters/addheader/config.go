package main

import "github.com/wasmfleet/wasmfleet/filters/internal/pluginconfig"

// config is what config.schema.json describes. The fixtures in testdata/config hold the two together.
type config struct {
	name, value string
}

func parseConfig(data []byte) (config, error) {
	var c config
	err := pluginconfig.Parse(data, `{"name":"hello","value":"world"}`,
		pluginconfig.Required("name", pluginconfig.Text(&c.name, pluginconfig.HeaderName)),
		pluginconfig.Required("value", pluginconfig.Text(&c.value, pluginconfig.HeaderValue)),
	)
	return c, err
}
