// Package migrate is the verb that reads what people have, wasme's objects, a cluster's plugins and EnvoyFilters by hand, and writes bases,
// overlay lines and pins of this repository.
package migrate

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// options are the flags.
type options struct {
	dir, filters, from, to string
	modules, answers       map[string]string
	resolve, dryRun        bool
	plainHTTP              bool
	wait                   time.Duration
}

// Command is the verb.
func Command() cli.Command {
	o := options{modules: map[string]string{}, answers: map[string]string{}}
	pair := func(to map[string]string, what string) func(string) error {
		return func(s string) error {
			key, value, ok := strings.Cut(s, "=")
			if !ok || key == "" {
				return fmt.Errorf("want %s", what)
			}
			to[key] = value
			return nil
		}
	}
	return cli.Command{
		Name:  "migrate",
		Title: "wasme's objects, a cluster's plugins and EnvoyFilters by hand, to bases, overlays and pins",
		About: `Reads Kubernetes objects: FilterDeployments of wasme and the EnvoyFilters that it made, WasmPlugins, TrafficExtensions and EnvoyFilters
with a Wasm filter, as "kubectl get wasmplugins,trafficextensions,envoyfilters -A -o yaml" prints them. It writes manifests/base/<object>, the
line in the overlay of the environment, below it a folder for a namespace that has none, and pins; it renders, and writes nothing when
there is a finding. What an object does not say is a question in the report, with the flag that answers it; until all are answered it
writes nothing and exits 1. It never touches a cluster; the report ends with what is left to do there.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters")
			f.StringVar(&o.from, "f", "-", "`file`, folder of files, or - for stdin")
			f.StringVar(&o.to, "to", "", "`environment` to write to (required)")
			f.Func("module", "`NAME=FILE.wasm`: the module of that filter, which no registry has any more; it becomes filters/NAME", pair(o.modules, "NAME=FILE.wasm"))
			f.Func("set", "`KEY=VALUE`: the answer to a question of the report", pair(o.answers, "KEY=VALUE"))
			f.BoolVar(&o.resolve, "resolve", false, "ask registries for the digests of tags, with the credentials of docker login")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "with --resolve, or where trust.yaml demands a signature: talk HTTP to the registry (hosts on loopback may always)")
			f.BoolVar(&o.dryRun, "dry-run", false, "print the report; write nothing")
			f.DurationVar(&o.wait, "wait", time.Minute, "how long to wait for another command that writes to the manifests")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) > 0 {
				return cli.Usage("unexpected %q. give files with -f", args[0])
			}
			if o.to == "" {
				return cli.Usage("--to is required")
			}
			return run(ctx, o, stdout, stderr)
		},
	}
}

func run(ctx context.Context, o options, stdout, stderr io.Writer) error {
	objects, err := readObjects(o.from)
	if err != nil {
		return err
	}
	p := &plan{ctx: ctx, options: o, asked: map[string]bool{}}
	for _, object := range objects {
		if err := p.add(object); err != nil {
			return err
		}
	}
	p.inOrder()
	if err := p.pinned(); err != nil {
		return err
	}
	for key := range o.answers {
		if !p.asked[key] {
			return cli.Usage("--set %s: no object asks that", key)
		}
	}
	if len(p.found) == 0 && len(p.questions) == 0 {
		p.report(stdout)
		return cli.Finding("%s: no Wasm filter of a kind that this reads", o.from)
	}
	if len(p.questions) > 0 {
		p.report(stdout)
		return cli.Finding("%d questions are open. nothing was written", len(p.questions))
	}
	changed, err := p.write(stderr)
	if err != nil {
		return err
	}
	p.report(stdout)
	for _, file := range changed {
		fmt.Fprintln(stdout, "wrote", file)
	}
	if o.dryRun {
		fmt.Fprintln(stderr, "migrate: --dry-run: nothing was written")
	}
	return nil
}

// report says what was found, object by object, what is asked, and what is left to do.
func (p *plan) report(w io.Writer) {
	for _, m := range p.found {
		fmt.Fprintf(w, "%s: %s -> %s/%s, filter %s\n", m.place, m.origin, m.namespace, m.name, m.filter)
		for _, note := range m.notes {
			fmt.Fprintln(w, "  ", note)
		}
	}
	for _, q := range p.questions {
		fmt.Fprintln(w, "question:", q)
	}
	for _, n := range p.notes {
		fmt.Fprintln(w, "note:", n)
	}
	for _, n := range p.leftovers {
		fmt.Fprintln(w, "left to delete:", n)
	}
}
