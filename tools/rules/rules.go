// Package rules is the verb that lists what render checks.
package rules

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/lint"
)

// Command is the verb.
func Command() cli.Command {
	var format string
	return cli.Command{
		Name:  "rules",
		Title: "what render checks",
		About: "Lists the rules that render applies: the name, what it wants and why, what it finds.",
		Flags: func(f *flag.FlagSet) { f.StringVar(&format, "format", "text", "text or json") },
		Run: func(_ context.Context, args []string, stdout, _ io.Writer) error {
			if len(args) > 0 {
				return cli.Usage("unexpected %q", args[0])
			}
			switch format {
			case "text":
				for _, r := range lint.Rules {
					fmt.Fprintf(stdout, "%-16s %s\n%-16s finds: %s\n", r.Name, r.About, "", r.Example)
				}
				return nil
			case "json":
				enc := json.NewEncoder(stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(lint.Rules)
			}
			return cli.Usage("--format %q: want text or json", format)
		},
	}
}
