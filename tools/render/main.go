// Command render turns the overlay of an environment into the manifests that Argo CD syncs, and checks them on the way.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/crd"
	"github.com/wasmfleet/wasmfleet/internal/environment"
	"github.com/wasmfleet/wasmfleet/internal/modules"
)

func main() {
	debug.SetGCPercent(200) // a short run: fewer collections are worth more than the memory
	os.Exit(command().Main(os.Args[1:], os.Stdout, os.Stderr))
}

// options are the flags.
type options struct {
	dir, filters, build, format string
	diff                        string
	check, rules                bool
	preflight, plainHTTP        bool
}

func command() cli.Command {
	var o options
	return cli.Command{
		Name: "render",
		Args: "[ENV…]",
		About: `Builds manifests/overlays/ENV as kustomize does, applies the rules and writes manifests/rendered/ENV, one object a file, all of it
or nothing. Without ENV every environment. It prints findings and the files changed.
With --preflight it also starts each plugin in a real Envoy, that of the environment's Istio, with the module of its pin (from the
registry, or from build/ when that holds exactly the pinned image) and its configuration; a refusal is a finding, in the filter's words.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters, for the rules that read their plugin.yaml")
			f.StringVar(&o.build, "build", "build", "`folder` of compiled modules, for --preflight")
			f.BoolVar(&o.check, "check", false, "write nothing; exit 1 when rendered files are stale")
			f.StringVar(&o.diff, "diff", "", "write nothing; show for a reviewer what changes against the rendered manifests in this `folder`")
			f.BoolVar(&o.rules, "rules", false, "list the rules and what they want")
			f.BoolVar(&o.preflight, "preflight", false, "start each plugin in a real Envoy")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "with --preflight: talk HTTP to the registry (hosts on loopback may always)")
			f.StringVar(&o.format, "format", "text", "text or json; with --diff also markdown")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			return run(ctx, o, args, stdout, stderr)
		},
	}
}

func run(ctx context.Context, o options, args []string, stdout, stderr io.Writer) error {
	if o.format != "text" && o.format != "json" && (o.format != "markdown" || o.diff == "") {
		return cli.Usage("--format %q: want text or json, with --diff also markdown", o.format)
	}
	if o.rules {
		for _, r := range rules {
			fmt.Fprintf(stdout, "%-15s %s\n%-15s finds: %s\n", r.name, r.about, "", r.example)
		}
		return nil
	}
	envs, err := selectEnvironments(o.dir, args)
	if err != nil {
		return err
	}
	filters, err := catalog.Load(o.filters)
	if err != nil {
		return cli.Finding("%w", err)
	}
	bar := newProgress(stderr)
	defer bar.end()
	trees, findings, err := check(envs, filters, bar)
	if err != nil {
		return err
	}
	if o.diff != "" {
		return diff(ctx, o, trees, stdout)
	}
	if o.preflight {
		refused, err := preflightAll(ctx, o, trees, bar, stderr)
		if err != nil {
			return err
		}
		findings = append(findings, refused...)
	}
	bar.end()
	return finish(trees, findings, o, stdout)
}

func selectEnvironments(dir string, names []string) ([]environment.Environment, error) {
	if len(names) == 0 {
		return environment.All(dir)
	}
	var envs []environment.Environment
	for _, name := range names {
		env, err := environment.Load(dir, name)
		if err != nil {
			return nil, cli.Usage("%w", err)
		}
		envs = append(envs, env)
	}
	return envs, nil
}

// result is what render says on stdout.
type result struct {
	Findings []finding `json:"findings"`
	Changed  []string  `json:"changed"`
	Removed  []string  `json:"removed,omitempty"`
	Stale    []string  `json:"stale,omitempty"` // with --check: what would change
}

// check builds every environment and applies the rules.
func check(envs []environment.Environment, filters []catalog.Filter, bar progress) ([]*tree, []finding, error) {
	go crd.Prepare("extensions.istio.io", "v1alpha1", environment.WasmPlugin) // while kustomize builds
	var trees []*tree
	findings := []finding{}
	for _, env := range envs {
		objects, source, err := build(env, bar)
		if err != nil {
			return nil, nil, cli.Finding("%w", err)
		}
		t, err := newTree(env, objects, source, filters)
		if err != nil {
			return nil, nil, cli.Finding("%w", err)
		}
		found, err := lint(t)
		if err != nil {
			return nil, nil, cli.Finding("%w", err)
		}
		trees, findings = append(trees, t), append(findings, found...)
	}
	return trees, findings, nil
}

func preflightAll(ctx context.Context, o options, trees []*tree, bar progress, stderr io.Writer) ([]finding, error) {
	// What is remote is the registry now: the module of a pin. Rendering itself stays offline.
	say := func(format string, args ...any) { fmt.Fprintf(stderr, "render: "+format+"\n", args...) }
	p := preflighter{modules.New(modules.Options{Build: o.build, Filters: o.filters, PlainHTTP: o.plainHTTP}, say), say, bar}
	var findings []finding
	for _, t := range trees {
		refused, err := p.tree(ctx, t)
		if err != nil {
			return nil, err
		}
		findings = append(findings, refused...)
	}
	return findings, nil
}

// finish writes what changed, of every environment or, when there is a finding in any, of none, and says so.
func finish(trees []*tree, findings []finding, o options, stdout io.Writer) error {
	r := result{Findings: findings, Changed: []string{}}
	failing := slices.ContainsFunc(findings, func(f finding) bool { return f.Allowed == "" })
	for _, t := range trees {
		dir := t.env.Rendered()
		changed, extra, err := differences(dir, t.rendered)
		if err != nil {
			return err
		}
		switch {
		case o.check:
			r.Stale = append(r.Stale, slices.Sorted(slices.Values(slices.Concat(changed, extra)))...)
		case !failing && len(changed)+len(extra) > 0:
			if err := write(dir, t.rendered); err != nil {
				return fmt.Errorf("writing %s: %w", dir, err)
			}
			r.Changed = append(r.Changed, changed...)
			r.Removed = append(r.Removed, extra...)
		}
	}
	return r.print(stdout, o.format == "json", failing)
}

func (r result) print(w io.Writer, asJSON, failing bool) error {
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
