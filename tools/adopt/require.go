package adopt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// require adds to go.mod what the filter's packages come from, in the versions of its own go.mod. What this repository requires
// already stays as it is: all filters share one version.
func (o options) require(ctx context.Context, s *source) (added []string, err error) {
	for _, imported := range s.imports {
		known, err := o.goRun(ctx, "list", "-mod=readonly", "-e", "-find", "-f", "{{if not .Error}}known{{end}}", imported)
		if err != nil {
			return added, err
		}
		if strings.TrimSpace(known) == "known" {
			continue
		}
		wanted := imported + "@" + s.version(imported)
		if _, err := o.goRun(ctx, "get", wanted); err != nil {
			return added, cli.Finding("getting %s: %w. put a version that can be fetched into go.mod", wanted, err)
		}
		added = append(added, wanted)
	}
	return added, nil
}

// restore remembers go.mod and go.sum and puts them back when there was an error.
func (o options) restore(err *error) func() {
	old := map[string][]byte{}
	for _, name := range []string{"go.mod", "go.sum"} {
		file := filepath.Join(o.root, name)
		if data, err := os.ReadFile(file); err == nil {
			old[file] = data
		}
	}
	return func() {
		if *err == nil {
			return
		}
		for file, data := range old {
			*err = errors.Join(*err, os.WriteFile(file, data, 0o644)) // nil when that went well
		}
	}
}

// version is that of the module in the source's go.mod which holds the package: the longest that is a prefix.
func (s *source) version(imported string) string {
	best := ""
	for module := range s.requires {
		if (imported == module || strings.HasPrefix(imported, module+"/")) && len(module) > len(best) {
			best = module
		}
	}
	if best == "" {
		return "latest"
	}
	return s.requires[best]
}

func (o options) goRun(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = o.root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		lines := slices.Collect(strings.Lines(strings.TrimSpace(stderr.String())))
		return "", fmt.Errorf("go %s: %w: %s", args[0], err, strings.Join(strings.Fields(lines[len(lines)-1]), " "))
	}
	return string(out), nil
}
