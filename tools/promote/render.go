package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// render renders the environment in the copy of the tree with the command render beside this one, and refuses what it refuses.
func render(ctx context.Context, t *tree, filters, env string, stderr io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	tool := filepath.Join(filepath.Dir(self), "render")
	var said, failed bytes.Buffer
	cmd := exec.CommandContext(ctx, tool, "--dir", t.next, "--filters", filters, env)
	cmd.Stdout, cmd.Stderr = &said, &failed
	share(t.lock, cmd)
	err = cmd.Run()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// What is said of the copy is true of the tree.
	for line := range strings.Lines(t.name(said.String())) {
		if !strings.HasPrefix(line, "changed ") && !strings.HasPrefix(line, "removed ") {
			fmt.Fprint(stderr, line)
		}
	}
	var exit *exec.ExitError
	switch reason := strings.TrimPrefix(strings.TrimSpace(t.name(failed.String())), "render: "); {
	case err == nil:
		return nil
	case !errors.As(err, &exit):
		return fmt.Errorf("starting render: %w. it belongs beside promote: build both into one folder", err)
	case exit.ExitCode() == cli.ExitFindings && reason == "":
		return cli.Finding("%s with these pins has findings. nothing was written", env)
	case exit.ExitCode() == cli.ExitFindings:
		return cli.Finding("rendering %s: %s. nothing was written", env, reason)
	default:
		return fmt.Errorf("rendering %s: %w: %s", env, err, reason)
	}
}
