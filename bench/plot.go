package main

import (
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// bars of a plot: one a row, with its interval. It has the methods that plotter asks for.
type bars []row

func (b bars) Len() int                { return len(b) }
func (b bars) Value(i int) float64     { return b[i].Cost.Median }
func (b bars) XY(i int) (x, y float64) { return b[i].Cost.Median, float64(i) }
func (b bars) XError(i int) (low, high float64) {
	c := b[i].Cost
	return c.Median - c.Low, c.High - c.Median
}
func (b bars) only(keep func(row) bool) plotter.Values {
	values := make(plotter.Values, len(b))
	for i, x := range b {
		if keep(x) {
			values[i] = x.Cost.Median
		}
	}
	return values
}

// plot is docs/benchmarks.svg: the cost of every peer as a bar, ours in another colour, the first row on top.
func (r report) plot(w io.Writer) error {
	rows := make(bars, len(r.Rows))
	names := make([]string, len(r.Rows))
	for i, x := range r.Rows {
		rows[len(rows)-1-i], names[len(rows)-1-i] = x, x.Peer
	}
	plot.DefaultFont.Variant = "Sans"
	p := plot.New()
	p.Title.Text = "One response header: CPU time of Envoy per filter and request"
	p.Title.Padding = vg.Points(8)
	p.X.Label.Text = fmt.Sprintf("µs, median of %d rounds; lines: 95 %% interval", r.Rounds)
	p.X.Min = 0
	p.BackgroundColor = color.White
	p.NominalY(names...)
	p.Add(plotter.NewGrid())
	for _, s := range []struct {
		values plotter.Values
		color  color.Color
	}{
		{rows.only(func(x row) bool { return !x.Ours }), color.Gray{Y: 0xb0}},
		{rows.only(func(x row) bool { return x.Ours }), color.RGBA{R: 0x46, G: 0x6b, B: 0xb0, A: 0xff}},
	} {
		chart, err := plotter.NewBarChart(s.values, vg.Points(14))
		if err != nil {
			return err
		}
		chart.Horizontal, chart.Color, chart.LineStyle.Width = true, s.color, 0
		p.Add(chart)
	}
	errors, err := plotter.NewXErrorBars(rows)
	if err != nil {
		return err
	}
	p.Add(errors)
	p.X.Max *= 1.03 // room beside the longest bar
	svg, err := p.WriterTo(20*vg.Centimeter, 9*vg.Centimeter, "svg")
	if err != nil {
		return err
	}
	_, err = svg.WriteTo(w)
	return err
}
