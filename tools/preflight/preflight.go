// Package preflight is the verb that starts each plugin of an environment in a real Envoy.
package preflight

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/lint"
	"github.com/wasmfleet/wasmfleet/internal/modules"
	"github.com/wasmfleet/wasmfleet/internal/preflight"
)

// options are the flags.
type options struct {
	dir, filters, build, format string
	plainHTTP                   bool
}

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "preflight",
		Title: "each plugin's configuration in a real Envoy, with the module of its pin",
		Args:  "[ENV…]",
		About: `Starts each plugin of ENV, or of every environment, in a real Envoy, that of the environment's Istio, with the module of its pin
(from the registry, or from build/ when that holds exactly the pinned image) and its configuration. A refusal is a finding, in the
filter's words. It writes nothing.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters")
			f.StringVar(&o.build, "build", "build", "`folder` of compiled modules")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "talk HTTP to the registry (hosts on loopback may always)")
			f.StringVar(&o.format, "format", "text", "text or json")
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
	results, findings, err := lint.Load("preflight", o.dir, o.filters, args, stderr)
	if err != nil {
		return err
	}
	bar := cli.NewProgress(stderr)
	defer bar.End()
	say := func(format string, args ...any) { fmt.Fprintf(stderr, "preflight: "+format+"\n", args...) }
	p := preflight.Preflight{
		Modules: modules.New(modules.Options{Build: o.build, Filters: o.filters, PlainHTTP: o.plainHTTP}, say),
		Say:     say,
		Step:    bar.Step,
	}
	for _, r := range results {
		refused, err := p.Result(ctx, r)
		if err != nil {
			return err
		}
		findings = append(findings, refused...)
	}
	lint.Sort(findings)
	bar.End()
	if o.format == "json" {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(map[string]any{"findings": findings}); err != nil {
			return err
		}
	} else {
		for _, f := range findings {
			fmt.Fprintln(stdout, f)
		}
	}
	if lint.Failing(findings) {
		return cli.ErrFindings
	}
	return nil
}
