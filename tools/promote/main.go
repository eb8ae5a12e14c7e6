// Command promote moves the digests that an environment pins: from the references of publish into the first environment, and
// from each environment's upstream into the next. The rendered manifests move with them.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/environment"
)

func main() { os.Exit(command().Main(os.Args[1:], os.Stdout, os.Stderr)) }

// options are the flags.
type options struct {
	dir, filters, refs, to    string
	dryRun, verify, plainHTTP bool
	wait                      time.Duration
}

func command() cli.Command {
	var o options
	return cli.Command{
		Name: "promote",
		Args: "[FILTER…]",
		About: `Writes pins into manifests/overlays/ENV/digests/kustomization.yaml: with --refs those that publish printed, otherwise those of
ENV's upstream; all filters, or the ones named. It prints what changed, and renders ENV with the command render beside it: pins and
rendered manifests change together, in one step, or not at all. A finding of render refuses the promotion.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters, for the rules of render")
			f.StringVar(&o.refs, "refs", "", "`file` with the references that publish printed; only for an environment without upstream")
			f.StringVar(&o.to, "to", "", "`environment` to promote to (required)")
			f.BoolVar(&o.dryRun, "dry-run", false, "print what would change, and findings; write nothing")
			f.BoolVar(&o.verify, "verify", false, "first pull each new pin from its registry, by digest")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "with --verify: talk HTTP to the registry (hosts on loopback may always)")
			f.DurationVar(&o.wait, "wait", time.Minute, "how long to wait for another promote in the same folder")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			return run(ctx, o, args, stdout, stderr)
		},
	}
}

func run(ctx context.Context, o options, filters []string, stdout, stderr io.Writer) error {
	if o.to == "" {
		return cli.Usage("--to is required")
	}
	if _, err := environment.Load(o.dir, o.to); err != nil {
		return cli.Usage("%w", err)
	}
	tree, err := openTree(ctx, o.dir, o.wait, stderr)
	if err != nil {
		return err
	}
	defer tree.close()
	// All that follows is read under the lock: what a promote before this one wrote counts.
	env, err := environment.Load(o.dir, o.to)
	if err != nil {
		return err
	}
	offer, err := offered(o, env)
	if err != nil {
		return err
	}
	changes, err := plan(o.dir, env, offer, filters)
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		fmt.Fprintf(stderr, "promote: nothing to do: %s already has these pins\n", env.Name)
		return nil
	}
	if o.verify {
		if err := verify(ctx, changes, o.plainHTTP); err != nil {
			return err
		}
	}
	if err := apply(ctx, tree, o, changes, stderr); err != nil {
		return err
	}
	for _, c := range changes {
		fmt.Fprintf(stdout, "%s: %s\n", env.Name, c)
	}
	return nil
}

// apply pins and renders in a copy of the tree and puts the copy into place.
func apply(ctx context.Context, t *tree, o options, changes []change, stderr io.Writer) error {
	next, err := t.copy()
	if err != nil {
		return fmt.Errorf("copying %s: %w", o.dir, err)
	}
	env, err := environment.Load(next, o.to)
	if err != nil {
		return t.named(err)
	}
	pins := environment.Pins{}
	for _, c := range changes {
		pins[c.filter] = c.to
	}
	if err := env.WritePins(pins); err != nil {
		return fmt.Errorf("pinning in %s: %w", env.Name, t.named(err))
	}
	if err := render(ctx, t, o.filters, env.Name, stderr); err != nil {
		return err
	}
	if o.dryRun {
		fmt.Fprintln(stderr, "promote: --dry-run: nothing was written")
		return nil
	}
	return t.replace()
}
