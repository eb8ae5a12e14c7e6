// Command render turns the overlay of an environment into the manifests that Argo CD syncs, and checks them on the way.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/environment"
)

func main() { os.Exit(command().Main(os.Args[1:], os.Stdout, os.Stderr)) }

func command() cli.Command {
	var dir, filters, format string
	var check, list bool
	return cli.Command{
		Name: "render",
		Args: "[ENV…]",
		About: `Builds manifests/overlays/ENV as kustomize does, applies the rules and writes manifests/rendered/ENV, one object a file, all of it
or nothing. Without ENV every environment. It prints findings and the files changed.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&filters, "filters", "filters", "`folder` of the filters, for the rules that read their plugin.yaml")
			f.BoolVar(&list, "rules", false, "list the rules and what they want")
			f.BoolVar(&check, "check", false, "write nothing; exit 1 when rendered files are stale")
			f.StringVar(&format, "format", "text", "text or json")
		},
		Run: func(_ context.Context, args []string, stdout, _ io.Writer) error {
			if format != "text" && format != "json" {
				return cli.Usage("--format %q: want text or json", format)
			}
			if list {
				for _, r := range rules {
					fmt.Fprintf(stdout, "%-15s %s\n", r.name, r.about)
				}
				return nil
			}
			envs, err := selectEnvironments(dir, args)
			if err != nil {
				return err
			}
			known, err := catalog.Load(filters)
			if err != nil {
				return cli.Finding("%w", err)
			}
			return run(envs, known, check, format == "json", stdout)
		},
	}
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
	Stale    []string  `json:"stale,omitempty"` // with --check: what would change
}

// run builds every environment before it writes the first: a finding anywhere leaves all files as they are.
func run(envs []environment.Environment, filters []catalog.Filter, check, asJSON bool, stdout io.Writer) error {
	r := result{Findings: []finding{}, Changed: []string{}}
	trees := map[string][]object{}
	for _, env := range envs {
		objects, err := build(env)
		if err != nil {
			return cli.Finding("%s: %w", env.Dir, err)
		}
		trees[env.Name] = objects
		t, err := newTree(env, objects, filters)
		if err != nil {
			return cli.Finding("%s: %w", env.Dir, err)
		}
		findings, err := lint(t)
		if err != nil {
			return cli.Finding("%s: %w", env.Dir, err)
		}
		r.Findings = append(r.Findings, findings...)
	}
	failing := slices.ContainsFunc(r.Findings, func(f finding) bool { return f.Allowed == "" })
	for _, env := range envs {
		changed, err := differences(env.Rendered(), trees[env.Name])
		if err != nil {
			return err
		}
		for i, name := range changed {
			changed[i] = filepath.Join(env.Rendered(), name)
		}
		switch {
		case check:
			r.Stale = append(r.Stale, changed...)
		case !failing && len(changed) > 0:
			if err := write(env.Rendered(), trees[env.Name]); err != nil {
				return fmt.Errorf("writing %s: %w", env.Rendered(), err)
			}
			r.Changed = append(r.Changed, changed...)
		}
	}
	return r.print(stdout, asJSON, failing)
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
		for _, file := range r.Stale {
			fmt.Fprintf(w, "%s is stale. run \"make render\" and commit the result\n", file)
		}
	}
	if failing || len(r.Stale) > 0 {
		return cli.ErrFindings
	}
	return nil
}
