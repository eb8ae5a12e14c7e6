package status

import (
	"bytes"
	_ "embed"
	"html/template"
	"time"
)

//go:embed page.html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("status").Funcs(template.FuncMap{
	"short": short,
	"date":  func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") },
}).Parse(pageText))

// grid is the page: a row for each filter, a column for each environment.
type grid struct {
	*status
	Title string
	Rows  []gridRow
}

type gridRow struct {
	Filter filter
	Cells  []gridCell
}

type gridCell struct {
	Environment string
	Pins        []gridPin
}

type gridPin struct {
	pin
	State string
}

// page is the status for a browser: one file that needs no other, and no script.
func (s *status) page(title string) ([]byte, error) {
	g := grid{status: s, Title: title}
	for _, f := range s.Filters {
		row := gridRow{Filter: f}
		for _, e := range s.Environments {
			cell := gridCell{Environment: e.Name}
			for _, p := range f.Pins {
				if p.Environment == e.Name {
					cell.Pins = append(cell.Pins, gridPin{p, p.state()})
				}
			}
			row.Cells = append(row.Cells, cell)
		}
		g.Rows = append(g.Rows, row)
	}
	var out bytes.Buffer
	err := pageTemplate.Execute(&out, g)
	return out.Bytes(), err
}
