package envoy

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
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
)

// Refused says that Envoy did not take a filter.
type Refused struct {
	Reason string // the filter's own words, or Envoy's when the filter said nothing
}

func (r *Refused) Error() string { return "refused: " + r.Reason }

// Question is a filter that Validate asks about.
type Question struct {
	Module  []byte
	Filter  func(code *corev3.AsyncDataSource) (*hcmv3.HttpFilter, error) // with the module's code from there
	Env     []string                                                      // beside that of this process
	Timeout time.Duration
	Hangs   string // what does not return when the time is over
}

// Validate asks `envoy --mode validate`, which opens no port and sends nothing: it compiles the module and starts the filter. It
// returns a *Refused when the filter does not start, and another error when the question could not be asked.
func Validate(ctx context.Context, program string, q Question) error {
	dir, err := os.MkdirTemp("", "wasmfleet-validate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	config, err := q.write(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, q.Timeout, fmt.Errorf("no answer within %s: %s does not return", q.Timeout, q.Hangs))
	defer cancel()
	args := append([]string{"--mode", "validate", "--config-path", config, "--log-level", "warning"}, LogFlags...)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), q.Env...)
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
		var entries []LogEntry
		for line := range strings.Lines(string(output)) {
			entries = append(entries, ParseLog(line))
		}
		return &Refused{Reason(entries)}
	default:
		return fmt.Errorf("running %s: %w", program, err)
	}
}

// write writes the module, and the configuration of an Envoy with the filter in its only listener.
func (q Question) write(dir string) (config string, err error) {
	code := filepath.Join(dir, "plugin.wasm")
	if err := os.WriteFile(code, q.Module, 0o600); err != nil {
		return "", err
	}
	filter, err := q.Filter(LocalFile(code))
	if err != nil {
		return "", err
	}
	listener, err := Listener("validate", netip.MustParseAddrPort("127.0.0.1:0"), []*hcmv3.HttpFilter{filter}, nil)
	if err != nil {
		return "", err
	}
	data, err := Marshal(&bootstrapv3.Bootstrap{
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{Listeners: []*listenerv3.Listener{listener}},
	})
	if err != nil {
		return "", err
	}
	config = filepath.Join(dir, "envoy.json")
	return config, os.WriteFile(config, data, 0o600)
}
