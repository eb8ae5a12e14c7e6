// Package newverb starts a filter: a small one that works, with its tests, example, schema, README and base.
package newverb

import (
	"bytes"
	"context"
	"embed"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"text/template"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/scaffold"
)

// A folder of template is a kind of filter, and all is what every kind has.
//
//go:embed all:template
var templates embed.FS

const common = "all"

// kinds are the folders with what each shows, as --help says it.
var kinds = []struct{ name, shows, description string }{
	{"headers", "a request header", "Sets one configured header on every request."},
	{"body", "the body of a response", "Replaces a text in the body of every response."},
	{"shared", "what all workers count", "Numbers the responses of a proxy in a header."},
	{"tick", "a timer", "Marks the responses after a timer has run."},
}

// Command is the verb.
func Command() cli.Command {
	var o options
	var like []string
	for _, k := range kinds {
		like = append(like, k.name+" ("+k.shows+")")
	}
	return cli.Command{
		Name:  "new",
		Title: "a filter to start from, with its tests and what deploys it",
		Args:  "NAME",
		About: `Writes filters/<name>, a small filter that works, with schema, fixtures, tests, an example and README, and manifests/base/<name>. It
prints every file that it wrote; nothing is overwritten. Next come make build and make examples; make publish and make promote deploy it
in the environment that published images enter.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.root, "root", ".", "`folder` of the repository")
			f.StringVar(&o.like, "like", kinds[0].name, "`kind`, by what it shows: "+strings.Join(like, ", "))
			f.StringVar(&o.licenses, "licenses", "NOASSERTION", "the SPDX `expression` of its licence")
		},
		Run: func(_ context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) != 1 {
				return cli.Usage("want one name")
			}
			return o.run(args[0], stdout, stderr)
		},
	}
}

type options struct{ root, like, licenses string }

func (o options) run(name string, stdout, stderr io.Writer) error {
	f := scaffold.Filter{Name: name, Title: name, Licenses: o.licenses}
	var known []string
	for _, k := range kinds {
		if k.name == o.like {
			f.Description = k.description
		}
		known = append(known, k.name)
	}
	if f.Description == "" {
		return cli.Usage("--like %q: want one of %s", o.like, strings.Join(known, ", "))
	}
	if err := f.Check(o.root); err != nil {
		return err
	}
	module, err := scaffold.Module(o.root)
	if err != nil {
		return err
	}
	sources := map[string][]byte{}
	for _, kind := range []string{common, o.like} {
		if err := expand(sources, kind, values{name, module}); err != nil {
			return err
		}
	}
	f.PluginConfig = string(sources[pluginConfig])
	delete(sources, pluginConfig)
	if err := f.Write(o.root, sources, stdout); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "new: next: make build examples FILTER=%s\n", name)
	return nil
}

// pluginConfig is the template of what the base configures; it is no file of the filter.
const pluginConfig = "pluginconfig"

// values are what a template may name.
type values struct{ Name, Module string }

// expand adds the files of a kind.
func expand(files map[string][]byte, kind string, v values) error {
	dir := "template/" + kind
	return fs.WalkDir(templates, dir, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		t, err := template.ParseFS(templates, file)
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if err := t.Execute(&out, v); err != nil {
			return err
		}
		files[strings.TrimSuffix(strings.TrimPrefix(file, dir+"/"), ".tmpl")] = out.Bytes()
		return nil
	})
}
