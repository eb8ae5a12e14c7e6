// Package diff is the verb that shows a reviewer what would change.
package diff

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/lint"
	"github.com/wasmfleet/wasmfleet/internal/modules"
	"github.com/wasmfleet/wasmfleet/internal/review"
)

// options are the flags.
type options struct {
	dir, filters, build, against, format string
	plainHTTP, offline                   bool
}

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "diff",
		Title: "what changes against other rendered manifests, for a reviewer",
		Args:  "[ENV…]",
		About: `Shows how what would be rendered differs from the rendered manifests in another folder, such as those of another commit: fields, the
filter chain, images. For a pin that moved it compares the two modules, which it pulls from their registry; where that cannot be, it
takes one from build/ that is exactly the pinned image. It writes nothing and judges nothing.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters")
			f.StringVar(&o.build, "build", "build", "`folder` of compiled modules")
			f.StringVar(&o.against, "against", "", "`folder` of rendered manifests, one folder an environment (required)")
			f.BoolVar(&o.offline, "offline", false, "pull nothing: compare modules in build/ only")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "talk HTTP to the registry (hosts on loopback may always)")
			f.StringVar(&o.format, "format", "text", "text, markdown or json")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			return run(ctx, o, args, stdout, stderr)
		},
	}
}

func run(ctx context.Context, o options, args []string, stdout, stderr io.Writer) error {
	switch {
	case o.format != "text" && o.format != "json" && o.format != "markdown":
		return cli.Usage("--format %q: want text, markdown or json", o.format)
	case o.against == "":
		return cli.Usage("--against is required")
	}
	results, _, err := lint.Load("diff", o.dir, o.filters, args, stderr)
	if err != nil {
		return err
	}
	say := func(format string, args ...any) { fmt.Fprintf(stderr, "diff: "+format+"\n", args...) }
	source := modules.New(modules.Options{Build: o.build, Filters: o.filters, PlainHTTP: o.plainHTTP, Offline: o.offline}, say)
	changes, err := review.Compare(ctx, announced{source, o.offline, say}, o.against, o.dir, results)
	if err != nil {
		return fmt.Errorf("--against: %w", err)
	}
	switch o.format {
	case "json":
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(changes)
	case "markdown":
		review.Markdown(stdout, changes)
	default:
		review.Text(stdout, changes)
	}
	return nil
}

// announced are modules, and who asks for one is told first that a registry is asked.
type announced struct {
	*modules.Source
	offline bool
	say     func(format string, args ...any)
}

// Get implements review.Modules.
func (a announced) Get(ctx context.Context, ref image.Ref) ([]byte, error) {
	if !a.offline {
		a.say("pulling %s to compare modules. --offline leaves that out", ref)
	}
	return a.Source.Get(ctx, ref)
}
