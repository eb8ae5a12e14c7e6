// Package loadcheck asks an Envoy whether it loads a module, and why not. No configuration is given to it.
package loadcheck

import (
	"context"
	"errors"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
)

// timeout is for one module. Only one whose start never returns needs more than a tenth of it.
const timeout = 20 * time.Second

// Check returns why this Envoy does not load the module, in Envoy's words; nothing when it does. It asks `envoy --mode validate`,
// which opens no port. The module gets the given capabilities, or all when there are none: without proxy_on_configure a filter that
// wants a configuration loads, too.
func Check(ctx context.Context, program string, module []byte, capabilities ...string) (string, error) {
	err := envoy.Validate(ctx, program, envoy.Question{
		Module:  module,
		Filter:  func(code *corev3.AsyncDataSource) (*hcmv3.HttpFilter, error) { return filter(code, capabilities) },
		Timeout: timeout,
		Hangs:   "its start",
	})
	var refused *envoy.Refused
	if errors.As(err, &refused) {
		return refused.Reason, nil
	}
	return "", err
}

func filter(code *corev3.AsyncDataSource, capabilities []string) (*hcmv3.HttpFilter, error) {
	plugin := &wasmv3.PluginConfig{Name: "module", Vm: &wasmv3.PluginConfig_VmConfig{VmConfig: &wasmv3.VmConfig{
		Runtime: "envoy.wasm.runtime.v8", Code: code,
	}}}
	if len(capabilities) > 0 {
		allowed := map[string]*wasmv3.SanitizationConfig{}
		for _, name := range capabilities {
			allowed[name] = &wasmv3.SanitizationConfig{}
		}
		//nolint:staticcheck // its new place, in vm_config, is unknown to the Envoys of Istio up to 1.31
		plugin.CapabilityRestrictionConfig = &wasmv3.CapabilityRestrictionConfig{AllowedCapabilities: allowed}
	}
	return envoy.Static("module", &wasmfilterv3.Wasm{Config: plugin})
}
