package dev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// notBuilt are the lines that say why there is no module, each file:line:column: text as far as they have a place.
type notBuilt []string

func (n notBuilt) Error() string { return strings.Join(n, "\n") }

// build compiles the filter and returns its module.
func (o options) compile(ctx context.Context) ([]byte, error) {
	cmd := exec.CommandContext(ctx, o.builder, "-root", o.root, "-tools", o.tools, "dev", o.filter)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.As(err, &exit) && exit.ExitCode() == cli.ExitFindings:
		return nil, notBuilt(strings.Split(strings.TrimSpace(stderr.String()), "\n"))
	case err != nil:
		return nil, fmt.Errorf("%s dev %s: %w: %s", o.builder, o.filter, err, strings.TrimSpace(stderr.String()))
	}
	return os.ReadFile(strings.TrimSpace(stdout.String()))
}
