// Package loadcheck asks an Envoy whether it loads a module, and why not. No configuration is given to it.
package loadcheck

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
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
	dir, err := os.MkdirTemp("", "wasmfleet-loadcheck-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	code, config := filepath.Join(dir, "plugin.wasm"), filepath.Join(dir, "envoy.json")
	if err := os.WriteFile(code, module, 0o600); err != nil {
		return "", err
	}
	if err := writeBootstrap(config, code, capabilities); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s: its start does not return", timeout))
	defer cancel()
	args := append([]string{"--mode", "validate", "--config-path", config, "--log-level", "error"}, envoy.LogFlags...)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	switch exit := (*exec.ExitError)(nil); {
	case errors.Is(context.Cause(ctx), context.Canceled):
		return "", context.Canceled
	case ctx.Err() != nil:
		return context.Cause(ctx).Error(), nil
	case err == nil:
		return "", nil
	case errors.As(err, &exit):
		return reason(output), nil
	default:
		return "", fmt.Errorf("running %s: %w", program, err)
	}
}

func writeBootstrap(file, code string, capabilities []string) error {
	plugin := &wasmv3.PluginConfig{Name: "module", Vm: &wasmv3.PluginConfig_VmConfig{VmConfig: &wasmv3.VmConfig{
		Runtime: "envoy.wasm.runtime.v8", Code: envoy.LocalFile(code),
	}}}
	if len(capabilities) > 0 {
		allowed := map[string]*wasmv3.SanitizationConfig{}
		for _, name := range capabilities {
			allowed[name] = &wasmv3.SanitizationConfig{}
		}
		plugin.CapabilityRestrictionConfig = &wasmv3.CapabilityRestrictionConfig{AllowedCapabilities: allowed}
	}
	filter, err := envoy.Static("module", &wasmfilterv3.Wasm{Config: plugin})
	if err != nil {
		return err
	}
	listener, err := envoy.Listener("loadcheck", netip.MustParseAddrPort("127.0.0.1:0"), []*hcmv3.HttpFilter{filter}, nil)
	if err != nil {
		return err
	}
	data, err := envoy.Marshal(&bootstrapv3.Bootstrap{
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{Listeners: []*listenerv3.Listener{listener}},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

func reason(output []byte) string {
	var entries []envoy.LogEntry
	for line := range strings.Lines(string(output)) {
		entries = append(entries, envoy.ParseLog(line))
	}
	return envoy.Reason(entries)
}
