// Package adopt brings a Go filter from elsewhere into this repository: its sources, its dependencies and all that deploys it.
package adopt

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/scaffold"
)

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "adopt",
		Title: "a Go filter from elsewhere, with what builds and deploys it",
		Args:  "DIR|FILE.go",
		About: `Copies a Go filter (a folder of package main, or one file) to filters/<name>, with the packages of its own module that it imports.
main() becomes init(), imports of its module become those of this one, what its go.mod requires is added to go.mod. It writes
plugin.yaml and manifests/base/<name>, and prints every file that it wrote. Nothing is overwritten. Next come make build, make publish
and make promote, which deploys it in the environment that published images enter.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.root, "root", ".", "`folder` of the repository")
			f.StringVar(&o.name, "name", "", "`name` of the filter (default: the folder's or file's, in lower-case letters, digits and dashes)")
			f.StringVar(&o.licenses, "licenses", "NOASSERTION", "the SPDX `expression` of its licence")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) != 1 {
				return cli.Usage("want one folder or file")
			}
			return o.run(ctx, args[0], stdout, stderr)
		},
	}
}

type options struct{ root, name, licenses string }

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

func (o options) run(ctx context.Context, from string, stdout, stderr io.Writer) (err error) {
	if o.name == "" {
		abs, err := filepath.Abs(from)
		if err != nil {
			return err
		}
		base := strings.TrimSuffix(filepath.Base(abs), ".go")
		if base == "main" {
			base = filepath.Base(filepath.Dir(abs))
		}
		o.name = strings.Trim(strings.TrimLeft(notInName.ReplaceAllString(strings.ToLower(base), "-"), "0123456789-"), "-")
	}
	if err := (scaffold.Filter{Name: o.name}).Check(o.root); err != nil {
		return err
	}
	s, err := read(from)
	if err != nil {
		return err
	}
	module, err := scaffold.Module(o.root)
	if err != nil {
		return err
	}
	files, err := s.rewritten(module + "/filters/" + o.name)
	if err != nil {
		return err
	}
	defer o.restore(&err)()
	required, err := o.require(ctx, s)
	if err != nil {
		return err
	}
	if err := o.described(s).Write(o.root, files, stdout); err != nil {
		return err
	}
	for _, r := range required {
		fmt.Fprintf(stderr, "adopt: go.mod requires %s\n", r)
	}
	for _, note := range s.notes {
		fmt.Fprintln(stderr, "adopt: "+note)
	}
	fmt.Fprintf(stderr, "adopt: next: make build FILTER=%s\n", o.name)
	return nil
}
