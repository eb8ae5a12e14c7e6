// Package preflight asks a real Envoy whether a filter accepts its configuration, before anything serves with it.
package preflight

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
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// Timeout is for one plugin. Envoy needs a quarter of a second; only a filter that never returns needs more.
var Timeout = 20 * time.Second

// Refused says that the plugin would not start with this module and this configuration.
type Refused struct {
	Reason string // the filter's own words, or Envoy's when the filter said nothing
}

func (r *Refused) Error() string { return "refused: " + r.Reason }

// Check starts the plugin with the module in `envoy --mode validate`, which opens no port and sends nothing: it compiles the
// module and runs OnPluginStart with exactly the bytes that the plugin will be given. It returns a *Refused when the plugin does
// not start, and another error when the question could not be asked.
func Check(ctx context.Context, program string, p *plugin.Plugin, module []byte) error {
	dir, err := os.MkdirTemp("", "wasmfleet-preflight-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	code, config := filepath.Join(dir, "plugin.wasm"), filepath.Join(dir, "envoy.json")
	if err := os.WriteFile(code, module, 0o600); err != nil {
		return err
	}
	if err := writeBootstrap(config, p, code); err != nil {
		return err
	}

	ctx, cancel := context.WithTimeoutCause(ctx, Timeout, fmt.Errorf("no answer within %s: OnPluginStart does not return", Timeout))
	defer cancel()
	args := append([]string{"--mode", "validate", "--config-path", config, "--log-level", "warning"}, envoy.LogFlags...)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), plugin.Placeholders(p)...)
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	switch exit := (*exec.ExitError)(nil); {
	case errors.Is(context.Cause(ctx), context.Canceled):
		return context.Canceled
	case ctx.Err() != nil:
		return &Refused{context.Cause(ctx).Error()}
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return &Refused{envoy.Reason(parse(output))}
	default:
		return fmt.Errorf("running %s: %w", program, err)
	}
}

func writeBootstrap(file string, p *plugin.Plugin, code string) error {
	wasm, err := p.HTTPFilter(envoy.LocalFile(code))
	if err != nil {
		return &Refused{err.Error()}
	}
	filter, err := envoy.Static(p.ID(), wasm)
	if err != nil {
		return err
	}
	listener, err := envoy.Listener("preflight", netip.MustParseAddrPort("127.0.0.1:0"), []*hcmv3.HttpFilter{filter}, nil)
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

func parse(output []byte) []envoy.LogEntry {
	var entries []envoy.LogEntry
	for line := range strings.Lines(string(output)) {
		entries = append(entries, envoy.ParseLog(line))
	}
	return entries
}
