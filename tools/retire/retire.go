// Package retire is the verb that takes a filter out of environments: the line of the overlay, patches and pins in one step.
package retire

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/lint"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// options are the flags.
type options struct {
	dir, filters, from string
	dryRun             bool
	wait               time.Duration
}

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "retire",
		Title: "a filter out of an environment, or of all: overlay line, patches and pins",
		Args:  "FILTER",
		About: `Takes the base of FILTER out of the overlay of ENV, or of every environment, with the patches in files that are only for it and with
its pins, renders, and prints the files that it changed or removed. A finding of render refuses it, and nothing is written then. The
filter's folder and its base stay: other environments may use them. Argo CD prunes what is not rendered any more.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters, for the rules of render")
			f.StringVar(&o.from, "from", "", "only from this `environment`")
			f.BoolVar(&o.dryRun, "dry-run", false, "print what would change, and findings; write nothing")
			f.DurationVar(&o.wait, "wait", time.Minute, "how long to wait for another command that writes to the manifests")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) != 1 {
				return cli.Usage("want one filter")
			}
			return run(ctx, o, args[0], stdout, stderr)
		},
	}
}

func run(ctx context.Context, o options, filter string, stdout, stderr io.Writer) error {
	unlock, err := manifests.Lock(ctx, o.dir, o.wait, stderr)
	if err != nil {
		return err
	}
	defer unlock()
	var names []string
	if o.from != "" {
		names = []string{o.from}
	}
	envs, err := manifests.LoadAll(o.dir, names)
	if err != nil {
		return err
	}
	var changed []manifests.Environment
	var unused []string
	for _, env := range envs {
		next, files, err := env.WithoutFilter(filter)
		if err == nil {
			next, err = next.WithoutPins(filter)
		}
		if err != nil {
			return err
		}
		if len(next.Changed()) > 0 {
			changed, unused = append(changed, next), append(unused, files...)
		}
	}
	if len(changed) == 0 {
		return cli.Usage("no overlay and no pin of %q there", filter)
	}
	results, findings, err := lint.BuildFor("retire", changed, o.filters, stderr)
	if err != nil {
		return fmt.Errorf("%w. nothing was written", err)
	}
	for _, f := range findings {
		fmt.Fprintln(stderr, f)
	}
	for _, r := range results {
		if r.Renders(filter) {
			return cli.Finding("%s: something else still renders %s, such as another overlay that it includes. nothing was written", r.Env.Dir, filter)
		}
	}
	if lint.Failing(findings) {
		return cli.Finding("without %s there are findings. nothing was written", filter)
	}
	return write(o, results, unused, stdout, stderr)
}

func write(o options, results []*manifests.Result, unused []string, stdout, stderr io.Writer) error {
	for _, r := range results {
		written, extra, err := r.Differences()
		if err != nil {
			return err
		}
		for _, file := range append(r.Env.Changed(), written...) {
			fmt.Fprintln(stdout, "changed", file)
		}
		for _, file := range extra {
			fmt.Fprintln(stdout, "removed", file)
		}
		if o.dryRun {
			continue
		}
		if err := r.Env.Save(); err != nil {
			return err
		}
		if err := r.Write(); err != nil {
			return fmt.Errorf(`writing %s: %w. run "make render"`, r.Env.Rendered(), err)
		}
	}
	for _, file := range unused {
		fmt.Fprintln(stdout, "removed", file)
		if o.dryRun {
			continue
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	if o.dryRun {
		fmt.Fprintln(stderr, "retire: --dry-run: nothing was written")
	}
	return nil
}
