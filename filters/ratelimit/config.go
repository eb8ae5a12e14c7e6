package main

import (
	"time"

	"github.com/wasmfleet/wasmfleet/filters/internal/pluginconfig"
)

// example is the smallest configuration.
const example = `{"requests":100,"per":"1m","client":{"address":true}}`

// maxClients bounds what the table of buckets takes of the proxy's memory: 20 bytes for each.
const maxClients = 65536

// config is what config.schema.json describes. The fixtures in testdata/config hold the two together.
type config struct {
	limit  limit
	client struct { // one of the two
		header  string
		address bool
	}
	clients int
}

func parseConfig(data []byte) (config, error) {
	c := config{clients: 1024}
	var requests, burst int
	var per time.Duration
	err := pluginconfig.Parse(data, example,
		pluginconfig.Required("requests", pluginconfig.Int(&requests, 1, 1_000_000)),
		pluginconfig.Required("per", pluginconfig.Duration(&per, "1s", "24h")),
		pluginconfig.Optional("burst", pluginconfig.Int(&burst, 1, 1_000_000)),
		pluginconfig.Required("client", pluginconfig.Object(
			pluginconfig.Optional("header", pluginconfig.Text(&c.client.header, pluginconfig.HeaderName)),
			pluginconfig.Optional("address", pluginconfig.True(&c.client.address)),
		)),
		pluginconfig.Optional("clients", pluginconfig.Int(&c.clients, setSize, maxClients)),
	)
	if err != nil {
		return config{}, err
	}
	if c.client.address == (c.client.header != "") {
		return config{}, pluginconfig.Error("/client", `want exactly one of "header" and "address"`)
	}
	if burst == 0 {
		burst = requests
	}
	c.limit = newLimit(requests, per, burst)
	if c.limit.empty() > maxEmpty {
		return config{}, pluginconfig.Error("/burst", "a bucket of this size takes more than 30 days to fill")
	}
	return c, nil
}

// sets is how many sets the table has.
func (c *config) sets() int { return (c.clients + setSize - 1) / setSize }
