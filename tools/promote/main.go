// Command promote moves the digests that an environment pins: from the references of publish into the first environment, and
// from each environment's upstream into the next.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/environment"
	"github.com/wasmfleet/wasmfleet/internal/filterimage"
)

func main() { os.Exit(command().Main(os.Args[1:], os.Stdout, os.Stderr)) }

func command() cli.Command {
	var dir, refs, to string
	return cli.Command{
		Name: "promote",
		Args: "[FILTER…]",
		About: `Writes pins into manifests/overlays/ENV/digests/kustomization.yaml: with --refs those that publish printed, otherwise those of
ENV's upstream; all filters, or the ones named. It prints what changed. Nothing else is touched; render comes next.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&refs, "refs", "", "`file` with the references that publish printed; only for an environment without upstream")
			f.StringVar(&to, "to", "", "`environment` to promote to (required)")
		},
		Run: func(_ context.Context, args []string, stdout, stderr io.Writer) error {
			if to == "" {
				return cli.Usage("--to is required")
			}
			env, err := environment.Load(dir, to)
			if err != nil {
				return cli.Usage("%w", err)
			}
			source, err := sourcePins(dir, env, refs)
			if err != nil {
				return err
			}
			return promote(dir, env, source, args, stdout, stderr)
		},
	}
}

// sourcePins are the pins on offer: from the references file or from the upstream.
func sourcePins(dir string, env environment.Environment, refs string) (environment.Pins, error) {
	switch {
	case refs != "" && env.Upstream != environment.None:
		return nil, cli.Usage("%s takes its pins from %s. promote references to an environment whose upstream is none, then from there", env.Name, env.Upstream)
	case refs != "":
		return readRefs(refs)
	case env.Upstream == environment.None:
		return nil, cli.Usage("%s has no upstream: say which images with --refs FILE, as publish wrote it", env.Name)
	}
	upstream, err := environment.Load(dir, env.Upstream)
	if err != nil {
		return nil, err
	}
	return upstream.Pins()
}

// readRefs reads one reference a line; empty lines are skipped.
func readRefs(file string) (environment.Pins, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pins := environment.Pins{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		ref, err := filterimage.ParseRef(text)
		if err != nil {
			return nil, cli.Finding("%s:%d: %w", file, n, err)
		}
		if old, twice := pins[ref.Filter()]; twice && old != ref {
			return nil, cli.Finding("%s:%d: a second reference of %s. keep one", file, n, ref.Filter())
		}
		pins[ref.Filter()] = ref
	}
	return pins, lines.Err()
}

func promote(dir string, env environment.Environment, source environment.Pins, filters []string, stdout, stderr io.Writer) error {
	if len(filters) == 0 {
		filters = slices.Sorted(maps.Keys(source))
	}
	current, err := env.Pins()
	if err != nil {
		return cli.Finding("%w", err)
	}
	changed := environment.Pins{}
	var report strings.Builder
	for _, filter := range filters {
		ref, ok := source[filter]
		if !ok {
			return cli.Usage("no pin of %q to promote. on offer: %s", filter, names(source))
		}
		if _, err := os.Stat(filepath.Join(dir, "base", filter)); err != nil {
			return cli.Finding("%s: no such base. a filter is deployed from there; add it before its first promotion", filepath.Join(dir, "base", filter))
		}
		if env.Registry != "" {
			ref.Repo = env.Registry + "/" + filter
		}
		old, had := current[filter]
		if old == ref {
			continue
		}
		changed[filter] = ref
		if !had {
			fmt.Fprintf(&report, "%s: %s: %s (new)\n", env.Name, filter, ref)
		} else {
			fmt.Fprintf(&report, "%s: %s: %s -> %s\n", env.Name, filter, short(old), ref)
		}
	}
	if len(changed) == 0 {
		fmt.Fprintf(stderr, "promote: nothing to do: %s already has these pins\n", env.Name)
		return nil
	}
	if err := env.WritePins(changed); err != nil {
		return fmt.Errorf("pinning in %s: %w", env.PinsFile(), err)
	}
	_, err = io.WriteString(stdout, report.String())
	return err
}

// short is enough of a reference to recognise it.
func short(r filterimage.Ref) string {
	const digits = len("sha256:") + 12
	return r.Tag + "@" + r.Digest[:min(digits, len(r.Digest))]
}

func names(pins environment.Pins) string {
	if len(pins) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(pins)), ", ")
}
