// Package canary is the verb that gives a share of the requests to another version of a filter, in each proxy, by plain manifests.
package canary

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/attest"
	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/lint"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// options are the flags.
type options struct {
	dir, filters, in    string
	image, refs, config string
	percent, key        string
	dryRun, loopback    bool
	plainHTTP           bool
	wait                time.Duration
}

// steps are what may be done with a canary.
var steps = map[string]func(o options, s *state) error{"start": start, "set": set, "promote": promote, "abort": abort}

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "canary",
		Title: "another version of a filter for a share of the requests, in each proxy",
		Args:  "start|set|promote|abort FILTER",
		About: `start writes canary-FILTER.yaml into the overlay of the environment: an EnvoyFilter that puts a split in place of each object's filter.
The canary's image is that of --image or --refs, or the one that the environment's upstream pins; its configuration is the stable one or
that of --config. A header decides who gets it (--key header:x-user: the same value always goes the same way), or each request is drawn
anew (--key request). A request without that header goes to the stable filter. set changes share or key; whoever is in stays in when the
share grows. promote pins the canary's image for all and takes the split out, abort takes it out. Each renders, refuses on findings, and
is one commit to review; a revert undoes it. The image of the next environment's promotion is the stable one.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters, for the rules of render")
			f.StringVar(&o.in, "in", "", "`environment` (required)")
			f.StringVar(&o.percent, "percent", "", "share of the requests, `0 to 100`, at most two decimals")
			f.StringVar(&o.key, "key", "", "what decides: request, or header:`name`")
			f.StringVar(&o.image, "image", "", "`reference` with digest of the canary's image")
			f.StringVar(&o.refs, "refs", "", "`file` with the references that publish printed")
			f.StringVar(&o.config, "config", "", "`file` with the canary's pluginConfig, YAML or JSON")
			f.BoolVar(&o.dryRun, "dry-run", false, "print what would change, and findings; write nothing")
			f.BoolVar(&o.loopback, "allow-loopback", false, "take an image of a registry on this machine, which no cluster finds, beyond the first environment")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "where trust.yaml demands a signature: talk HTTP to the registry (hosts on loopback may always)")
			f.DurationVar(&o.wait, "wait", time.Minute, "how long to wait for another command that writes to the manifests")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) != 2 || steps[args[0]] == nil {
				return cli.Usage("want start, set, promote or abort, and a filter")
			}
			if o.in == "" {
				return cli.Usage("--in is required")
			}
			return run(ctx, o, args[0], args[1], stdout, stderr)
		},
	}
}

// state is the environment before the step, and after it, in memory.
type state struct {
	filter   string
	before   *manifests.Result
	stable   []manifests.Plugin
	canaries []manifests.Canary
	sources  *catalog.Filter // nil when there are none of it here
	next     manifests.Environment
	gone     string // the file to remove
	said     string
	images   []image.Ref // that the step brings in
}

func run(ctx context.Context, o options, step, filter string, stdout, stderr io.Writer) error {
	if _, err := manifests.Load(o.dir, o.in); err != nil {
		return err
	}
	unlock, err := manifests.Lock(ctx, o.dir, o.wait, stderr)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := read(o, filter, stderr)
	if err != nil {
		return err
	}
	if err := steps[step](o, s); err != nil {
		return err
	}
	return s.write(ctx, o, stdout, stderr)
}

func read(o options, filter string, stderr io.Writer) (*state, error) {
	env, err := manifests.Load(o.dir, o.in)
	if err != nil {
		return nil, err
	}
	filters, err := catalog.Load(o.filters)
	if err != nil {
		return nil, err
	}
	bar := cli.NewProgress(stderr)
	defer bar.End()
	before, err := manifests.Build(env, filters, bar.Step)
	if err != nil {
		return nil, cli.Finding("%w", err)
	}
	if before.Undecoded != nil {
		return nil, cli.Finding("%s: %w", env.Dir, before.Undecoded)
	}
	s := &state{filter: filter, before: before, next: env}
	for i := range filters {
		if filters[i].Name == filter {
			s.sources = &filters[i]
		}
	}
	for _, p := range before.Plugins {
		if manifests.FilterOf(p.Spec.Url) == filter {
			s.stable = append(s.stable, p)
		}
	}
	if len(s.stable) == 0 {
		return nil, cli.Usage("nothing in %s deploys filter %q", env.Dir, filter)
	}
	for _, c := range before.Canaries() {
		if c.Err == nil && c.Filter() == filter {
			s.canaries = append(s.canaries, c)
		}
	}
	return s, nil
}

// write renders the environment after the step, refuses on findings, and writes what changed.
func (s *state) write(ctx context.Context, o options, stdout, stderr io.Writer) error {
	if err := attest.Require(ctx, o.dir, s.next.Name, s.images, o.plainHTTP); err != nil {
		return err
	}
	results, findings, err := lint.BuildFor("canary", []manifests.Environment{s.next}, o.filters, stderr)
	if err != nil {
		return fmt.Errorf("%w. nothing was written", err)
	}
	for _, f := range findings {
		fmt.Fprintln(stderr, f)
	}
	r := results[0]
	switch {
	case lint.Failing(findings):
		return cli.Finding("%s would have findings. nothing was written", s.next.Name)
	case o.dryRun:
		fmt.Fprintln(stderr, "canary: --dry-run: nothing was written")
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		if err := s.next.Save(); err != nil {
			return err
		}
		if s.gone != "" {
			if err := os.Remove(s.gone); err != nil {
				return err
			}
		}
		if err := r.Write(); err != nil {
			return fmt.Errorf(`%s: the overlay is written, the rendered manifests are not: %w. run "make render ENV=%[1]s"`, s.next.Name, err)
		}
	}
	_, err = fmt.Fprintln(stdout, s.said)
	return err
}
