// Package adopt brings a Go filter from elsewhere into this repository: its sources, its dependencies and all that deploys it.
package adopt

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
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

func (o options) run(ctx context.Context, from string, stdout, stderr io.Writer) error {
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
	if !catalog.ValidName(o.name) {
		return cli.Usage("--name %q: want a lower-case letter, then letters, digits and dashes, at most 63", o.name)
	}
	dir := filepath.Join(o.root, "filters", o.name)
	if _, err := os.Stat(dir); err == nil {
		return cli.Usage("%s is there. give another --name", dir)
	}
	s, err := read(from)
	if err != nil {
		return err
	}
	module, err := modulePath(filepath.Join(o.root, "go.mod"))
	if err != nil {
		return err
	}
	files, err := s.rewritten(module + "/filters/" + o.name)
	if err != nil {
		return err
	}
	described, err := o.described(s)
	if err != nil {
		return err
	}
	required, err := o.require(ctx, s)
	if err != nil {
		return err
	}
	written := map[string][]byte{}
	for name, data := range files {
		written[filepath.Join("filters", o.name, name)] = data
	}
	for name, data := range described {
		written[name] = data
	}
	for _, name := range slices.Sorted(maps.Keys(written)) {
		file := filepath.Join(o.root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, written[name], 0o644); err != nil {
			return err
		}
		fmt.Fprintln(stdout, name)
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
