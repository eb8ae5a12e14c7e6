package cli

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"text/tabwriter"
)

// Program is a command with verbs.
type Program struct {
	Name  string
	About string // what it is, in a sentence or two
	Verbs []Command
}

// Main runs the verb that args name and returns the exit code.
func (p Program) Main(args []string, stdout, stderr io.Writer) int {
	verb, rest := "", args
	if len(args) > 0 {
		verb, rest = args[0], args[1:]
	}
	if verb == "help" && len(rest) > 0 {
		verb, rest = rest[0], []string{"-h"}
	}
	switch verb {
	case "-h", "-help", "--help", "help":
		p.help(stdout)
		return ExitOK
	case "-version", "--version":
		fmt.Fprintln(stdout, p.Name, version())
		return ExitOK
	}
	var names []string
	for _, c := range p.Verbs {
		if c.Name == verb {
			c.program = p.Name + " "
			return c.Main(rest, stdout, stderr)
		}
		names = append(names, c.Name)
	}
	said := "want a verb"
	if verb != "" {
		said = fmt.Sprintf("unknown verb %q", verb)
	}
	fmt.Fprintf(stderr, "%s: %s. verbs: %s\nsee %[1]s -h\n", p.Name, said, strings.Join(names, ", "))
	return ExitUsage
}

func (p Program) help(w io.Writer) {
	fmt.Fprintf(w, "usage: %s VERB [flags] [arguments]\n\n%s\n\nverbs (%[1]s VERB -h says more):\n", p.Name, p.About)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, c := range p.Verbs {
		fmt.Fprintf(table, "  %s\t%s\n", c.Name, c.Title)
	}
	_ = table.Flush()
	fmt.Fprintf(w, "\nexit codes: %d fine, %d findings, %d usage, %d failure\n", ExitOK, ExitFindings, ExitUsage, ExitFailure)
}

// version is that of the module, as go install or git know it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(unknown)"
	}
	return info.Main.Version
}
