// Package status is the verb that says, from git alone, which version of each filter runs where, since when and by whose commit.
package status

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// options are the flags.
type options struct {
	dir, filters, format, html string
	registry, unused           bool
	plainHTTP                  bool
	caFile                     string
}

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "status",
		Title: "which version of each filter runs where, since when, by whom; from git alone",
		Args:  "[ENV…]",
		About: `Prints for each filter and environment the version that is pinned, the namespaces that deploy it, when and by whose commit it was
pinned, and how many commits of the filter are in the environment that its pins come from and not here. It reads the tree and git, no
cluster: what proxies run is another question. With --registry it asks for each image whether it is there, and exits 1 when one is not;
with --unused it lists the tags that no commit of this branch has pinned, for who cleans up.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters")
			f.StringVar(&o.format, "format", "text", "text or json")
			f.StringVar(&o.html, "html", "", "write a page for a browser to this `file`, too")
			f.BoolVar(&o.registry, "registry", false, "ask the registry for each pinned image")
			f.BoolVar(&o.unused, "unused", false, "list the tags of the registry that no pin has or had")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "talk HTTP to the registry (hosts on loopback may always)")
			f.StringVar(&o.caFile, "ca-file", "", "`file` with further root certificates (PEM) of the registry")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if o.format != "text" && o.format != "json" {
				return cli.Usage("--format %q: want text or json", o.format)
			}
			return run(ctx, o, args, stdout, stderr)
		},
	}
}

func run(ctx context.Context, o options, names []string, stdout, stderr io.Writer) error {
	s, err := read(ctx, o, names, stderr)
	if err != nil {
		return err
	}
	var missing []string
	if o.registry || o.unused {
		if missing, err = s.ask(ctx, o, stderr); err != nil {
			return err
		}
	}
	for _, note := range s.Notes {
		fmt.Fprintln(stderr, "status:", note)
	}
	if o.html != "" {
		dir, err := filepath.Abs(o.dir)
		if err != nil {
			return err
		}
		page, err := s.page(filepath.Base(filepath.Dir(dir)))
		if err != nil {
			return err
		}
		if err := atomicfile.Write(o.html, page); err != nil {
			return fmt.Errorf("writing %s: %w", o.html, err)
		}
	}
	if o.format == "json" {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(s)
	} else {
		err = s.text(stdout, time.Now())
	}
	if err == nil && len(missing) > 0 {
		return cli.Finding("%d of the pinned images are not in their registry: %s", len(missing), missing[0])
	}
	return err
}
