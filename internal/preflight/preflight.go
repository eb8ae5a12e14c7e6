// Package preflight asks a real Envoy whether a filter accepts its configuration, before anything serves with it.
package preflight

import (
	"context"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// Timeout is for one plugin. Envoy needs a quarter of a second; only a filter that never returns needs more.
var Timeout = 20 * time.Second

// Check starts the plugin with the module in an Envoy that serves nothing: it runs OnPluginStart with exactly the bytes that the
// plugin will be given. It returns a *envoy.Refused when the plugin does not start, and another error when the question could not
// be asked.
func Check(ctx context.Context, program string, p *plugin.Plugin, module []byte) error {
	return envoy.Validate(ctx, program, envoy.Question{
		Module: module,
		Filter: func(code *corev3.AsyncDataSource) (*hcmv3.HttpFilter, error) {
			wasm, err := p.HTTPFilter(code)
			if err != nil {
				return nil, &envoy.Refused{Reason: err.Error()}
			}
			return envoy.Static(p.ID(), wasm)
		},
		Env:     plugin.Placeholders(p),
		Timeout: Timeout,
		Hangs:   "OnPluginStart",
	})
}
