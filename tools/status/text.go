package status

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// text prints a table, one line for each filter and environment.
func (s *status) text(w io.Writer, now time.Time) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FILTER\tENVIRONMENT\tVERSION\tDIGEST\tDEPLOYED\tPINNED\tBY\t")
	for _, f := range s.Filters {
		if len(f.Pins) == 0 {
			fmt.Fprintf(table, "%s\t-\t-\t-\t-\t-\t-\tdeployed nowhere\n", f.Name)
		}
		for _, p := range f.Pins {
			notes := p.state()
			if p.Present != nil && !*p.Present {
				notes = strings.TrimPrefix(notes+", not in the registry", ", ")
			}
			deployed := "-"
			if len(p.Deployed) > 0 {
				deployed = p.Deployed[0]
			}
			if more := len(p.Deployed) - 1; more > 0 {
				deployed += fmt.Sprintf(" +%d", more)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Name, p.Environment, p.Version, short(p.Digest), deployed, p.age(now), p.by(), notes)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, tag := range s.Unused {
		if _, err := fmt.Fprintln(w, "unused", tag); err != nil {
			return err
		}
	}
	return nil
}

// short is enough of a digest to recognise it.
func short(digest string) string { return digest[:min(len(digest), len("sha256:")+12)] }

// age is how long ago the pin was committed, in the largest unit that is not zero.
func (p pin) age(now time.Time) string {
	if p.Pinned == nil {
		return "-"
	}
	d := max(0, now.Sub(p.Pinned.Time))
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	}
}
