// Package render is the verb that turns the overlay of an environment into the manifests that Argo CD syncs, and checks them on the
// way.
package render

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/lint"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// options are the flags.
type options struct {
	dir, filters, format string
	check                bool
	wait                 time.Duration
}

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "render",
		Title: "manifests/rendered/ENV from its overlay, checked by rules",
		Args:  "[ENV…]",
		About: `Builds manifests/overlays/ENV as kustomize does, applies the rules and writes manifests/rendered/ENV, one object a file, all of it
or nothing. Without ENV every environment. It prints findings and the files changed. "wasmfleet rules" lists the rules.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters, for the rules that read their plugin.yaml")
			f.BoolVar(&o.check, "check", false, "write nothing; exit 1 when rendered files are stale")
			f.StringVar(&o.format, "format", "text", "text or json")
			f.DurationVar(&o.wait, "wait", time.Minute, "how long to wait for another command that writes to the manifests")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			return run(ctx, o, args, stdout, stderr)
		},
	}
}

func run(ctx context.Context, o options, args []string, stdout, stderr io.Writer) error {
	if o.format != "text" && o.format != "json" {
		return cli.Usage("--format %q: want text or json", o.format)
	}
	debug.SetGCPercent(200) // a short run: fewer collections are worth more than the memory
	if !o.check {
		unlock, err := manifests.Lock(ctx, o.dir, o.wait, stderr)
		if err != nil {
			return err
		}
		defer unlock()
	}
	// All that follows is read under the lock: what another command wrote before counts.
	results, findings, err := lint.Load("render", o.dir, o.filters, args, stderr)
	if err != nil {
		return err
	}
	return finish(results, findings, o, stdout)
}

// report is what render says on stdout.
type report struct {
	Findings []lint.Finding `json:"findings"`
	Changed  []string       `json:"changed"`
	Removed  []string       `json:"removed,omitempty"`
	Stale    []string       `json:"stale,omitempty"` // with --check: what would change
}

// finish writes what changed, of every environment or, when there is a finding in any, of none, and says so.
func finish(results []*manifests.Result, findings []lint.Finding, o options, stdout io.Writer) error {
	said := report{Findings: findings, Changed: []string{}}
	failing := lint.Failing(findings)
	for _, r := range results {
		changed, extra, err := r.Differences()
		if err != nil {
			return err
		}
		switch {
		case o.check:
			said.Stale = append(said.Stale, slices.Sorted(slices.Values(slices.Concat(changed, extra)))...)
		case !failing && (len(changed)+len(extra) > 0 || r.Left()):
			if err := r.Write(); err != nil {
				return fmt.Errorf("writing %s: %w", r.Env.Rendered(), err)
			}
			said.Changed = append(said.Changed, changed...)
			said.Removed = append(said.Removed, extra...)
		}
	}
	return said.print(stdout, o.format == "json", failing)
}

func (r report) print(w io.Writer, asJSON, failing bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		if err := enc.Encode(r); err != nil {
			return err
		}
	} else {
		for _, f := range r.Findings {
			fmt.Fprintln(w, f)
		}
		for _, file := range r.Changed {
			fmt.Fprintln(w, "changed", file)
		}
		for _, file := range r.Removed {
			fmt.Fprintln(w, "removed", file)
		}
		for _, file := range r.Stale {
			fmt.Fprintf(w, "%s is stale. run \"make render\" and commit the result\n", file)
		}
	}
	if failing || len(r.Stale) > 0 {
		return cli.ErrFindings
	}
	return nil
}
