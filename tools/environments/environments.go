// Package environments is the verb that lists the environments, for scripts.
package environments

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// Command is the verb.
func Command() cli.Command {
	var dir string
	var entry bool
	return cli.Command{
		Name:  "environments",
		Title: "the environments, upstream first",
		About: "Prints the names of the environments, one a line, each after the one that its pins come from.",
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&dir, "dir", "manifests", "`folder` of the manifests")
			f.BoolVar(&entry, "entry", false, "only where published images enter: upstream is none")
		},
		Run: func(_ context.Context, args []string, stdout, _ io.Writer) error {
			if len(args) > 0 {
				return cli.Usage("unexpected %q", args[0])
			}
			envs, err := manifests.All(dir)
			if err != nil {
				return err
			}
			for _, e := range envs {
				if e.Entry() || !entry {
					fmt.Fprintln(stdout, e.Name)
				}
			}
			return nil
		},
	}
}
