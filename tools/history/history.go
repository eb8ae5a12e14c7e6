// Package history is the verb that lists every pin that a filter had, with the commit that set it.
package history

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/history"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// Command is the verb.
func Command() cli.Command {
	var dir, format string
	return cli.Command{
		Name:  "history",
		Title: "every pin that a filter had in an environment, with the commit that set it",
		Args:  "FILTER [ENV…]",
		About: `Prints the changes of FILTER's pin in each environment, or in those named, the newest first: when, from which image to which, and the
commit with its author and subject. Renames of a file of pins are followed; a pin that is not committed comes first.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&format, "format", "text", "text or json")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) == 0 {
				return cli.Usage("want a filter")
			}
			if format != "text" && format != "json" {
				return cli.Usage("--format %q: want text or json", format)
			}
			return run(ctx, dir, format, args[0], args[1:], stdout, stderr)
		},
	}
}

// change is a change of a pin; as JSON it is an API. From is empty for the first pin, To for one that was removed.
type change struct {
	Environment string          `json:"environment"`
	File        string          `json:"file"`
	From        string          `json:"from"`
	To          string          `json:"to"`
	Commit      *history.Commit `json:"commit"` // null: not committed
}

func run(ctx context.Context, dir, format, filter string, names []string, stdout, stderr io.Writer) error {
	envs, err := manifests.LoadAll(dir, names)
	if err != nil {
		return err
	}
	repository, err := history.Open(ctx, dir)
	if err != nil {
		return fmt.Errorf("%w. history reads a git repository", err)
	}
	if repository.Shallow {
		fmt.Fprintln(stderr, `history: this clone has the last commits only. run "git fetch --unshallow" for what was before`)
	}
	changes := []change{}
	for _, env := range envs {
		all, err := env.AllPins()
		if err != nil {
			return err
		}
		for _, file := range all {
			versions, err := repository.Versions(ctx, file.File)
			if err != nil {
				return err
			}
			changes = append(changes, changesOf(env.Name, file, filter, versions)...)
		}
	}
	if len(changes) == 0 {
		return cli.Usage("no pin of %q, now or before", filter)
	}
	slices.SortStableFunc(changes, func(a, b change) int {
		switch {
		case a.Commit == nil || b.Commit == nil:
			return map[bool]int{true: -1}[a.Commit == nil] + map[bool]int{true: 1}[b.Commit == nil]
		default:
			return b.Commit.Time.Compare(a.Commit.Time)
		}
	})
	if format == "json" {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(changes)
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, c := range changes {
		when, commit := "not committed", ""
		if c.Commit != nil {
			when, commit = c.Commit.Time.UTC().Format("2006-01-02 15:04"), fmt.Sprintf("%.7s %s: %s", c.Commit.ID, c.Commit.Author, c.Commit.Subject)
		}
		fmt.Fprintf(table, "%s\t%s\t%s -> %s\t%s\n", when, c.Environment, said(c.From), said(c.To), commit)
	}
	return table.Flush()
}

// changesOf are those of one file, the newest first.
func changesOf(env string, file manifests.FilePins, filter string, versions []history.Version) (changes []change) {
	newer := file.Pins[filter]
	var by *history.Commit // of the newer pin
	for i := range versions {
		older := versions[i].Pins[filter]
		if older != newer {
			changes = append(changes, change{env, file.File, text(older), text(newer), by})
		}
		newer, by = older, &versions[i].Commit
	}
	if newer != (image.Ref{}) {
		changes = append(changes, change{env, file.File, "", text(newer), by})
	}
	return changes
}

func text(ref image.Ref) string {
	if ref == (image.Ref{}) {
		return ""
	}
	return ref.String()
}

// said is enough of an image to recognise it.
func said(full string) string {
	if full == "" {
		return "none"
	}
	ref, err := image.ParseRef(full)
	if err != nil {
		return full
	}
	return fmt.Sprintf("%s@%.19s", ref.Tag, ref.Digest)
}
