// Package promote is the verb that moves the digests that an environment pins: from the references of publish into the first
// environment, and from each environment's upstream into the next. The rendered manifests move with them.
package promote

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/attest"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/lint"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// options are the flags.
type options struct {
	dir, filters, refs, to    string
	namespace                 string
	dryRun, verify, plainHTTP bool
	unpublished, loopback     bool
	wait                      time.Duration
}

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "promote",
		Title: "pins of an environment, from what was published or from its upstream, and render it",
		Args:  "[FILTER…]",
		About: `Writes pins into manifests/overlays/ENV/digests/kustomization.yaml: with --refs those that publish printed, otherwise those of
ENV's upstream; all filters, or the ones named. It renders ENV with the new pins first, and a finding refuses the promotion: nothing
is written then. It prints the pins that changed. Where manifests/trust.yaml demands signatures for ENV, each new pin is verified first.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters, for the rules of render")
			f.StringVar(&o.refs, "refs", "", "`file` with the references that publish printed; only for an environment without upstream")
			f.StringVar(&o.to, "to", "", "`environment` to promote to (required)")
			f.StringVar(&o.namespace, "namespace", "", "`folder` of the namespace that a filter's first promotion adds it to, where the environment has several")
			f.BoolVar(&o.dryRun, "dry-run", false, "print what would change, and findings; write nothing")
			f.BoolVar(&o.verify, "verify", false, "first pull each new pin from its registry, by digest")
			f.BoolVar(&o.unpublished, "unpublished", false, "take references of publish --dry-run, which are in no registry")
			f.BoolVar(&o.loopback, "allow-loopback", false, "pin images of a registry on this machine, which no cluster finds, beyond the first environment")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "with --verify: talk HTTP to the registry (hosts on loopback may always)")
			f.DurationVar(&o.wait, "wait", time.Minute, "how long to wait for another command that writes to the manifests")
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
	if _, err := manifests.Load(o.dir, o.to); err != nil {
		return err
	}
	unlock, err := manifests.Lock(ctx, o.dir, o.wait, stderr)
	if err != nil {
		return err
	}
	defer unlock()
	// All that follows is read under the lock: what another command wrote before counts.
	env, err := manifests.Load(o.dir, o.to)
	if err != nil {
		return err
	}
	offer, err := offered(o, env)
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { fmt.Fprintf(stderr, "promote: "+format+"\n", args...) }
	p, err := plan(env, offer, filters, o.namespace, say)
	if err != nil {
		return err
	}
	if len(p.changes) == 0 {
		say("nothing to do: %s already has these pins", env.Name)
		return nil
	}
	for _, c := range p.changes {
		if c.to.Loopback() && !env.Entry() && !o.loopback {
			return cli.Finding("%s: %s is in a registry on this machine, which no cluster finds. publish it to a real one, or use --allow-loopback. nothing was written", c.filter, c.to)
		}
	}
	if o.verify {
		if err := verify(ctx, p.changes, o.plainHTTP); err != nil {
			return err
		}
	}
	if err := attest.Require(ctx, o.dir, env.Name, p.images(), o.plainHTTP); err != nil {
		return err
	}
	if err := apply(ctx, o, p.env, say, stderr); err != nil {
		return err
	}
	for _, c := range p.changes {
		fmt.Fprintf(stdout, "%s: %s\n", env.Name, c)
	}
	return nil
}

// apply renders the environment with the new pins in memory, and writes pins and rendered manifests when nothing is wrong with them.
// Those are several files, and a crash between them leaves what `render --check` shows: new pins, and old rendered files.
func apply(ctx context.Context, o options, next manifests.Environment, say func(format string, args ...any), stderr io.Writer) error {
	results, findings, err := lint.BuildFor("promote", []manifests.Environment{next}, o.filters, stderr)
	if err != nil {
		return fmt.Errorf("rendering %s: %w. nothing was written", next.Name, err)
	}
	for _, f := range findings {
		fmt.Fprintln(stderr, f)
	}
	switch {
	case lint.Failing(findings):
		return cli.Finding("%s with these pins has findings. nothing was written", next.Name)
	case o.dryRun:
		say("--dry-run: nothing was written")
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if err := next.Save(); err != nil {
		return err
	}
	if err := results[0].Write(); err != nil {
		return fmt.Errorf(`%s: the pins are written, the rendered manifests are not: %w. run "make render ENV=%[1]s"`, next.Name, err)
	}
	return nil
}
