package main

import (
	"cmp"
	"image/color"
	"io"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// curves are the lines of the plot.
var curves = []struct {
	api, form string
	color     color.Color
	dashes    []vg.Length
}{
	{"WasmPlugin", "everyone", color.RGBA{R: 0x46, G: 0x6b, B: 0xb0, A: 0xff}, nil},
	{"WasmPlugin", "selected", color.RGBA{R: 0x3a, G: 0x92, B: 0x6a, A: 0xff}, nil},
	{"WasmPlugin", "namespaces", color.RGBA{R: 0xc0, G: 0x70, B: 0x30, A: 0xff}, nil},
	{"EnvoyFilter", "everyone", color.RGBA{R: 0x46, G: 0x6b, B: 0xb0, A: 0xff}, []vg.Length{vg.Points(4), vg.Points(3)}},
	{"EnvoyFilter", "selected", color.RGBA{R: 0x3a, G: 0x92, B: 0x6a, A: 0xff}, []vg.Length{vg.Points(4), vg.Points(3)}},
	{"EnvoyFilter", "namespaces", color.RGBA{R: 0xc0, G: 0x70, B: 0x30, A: 0xff}, []vg.Length{vg.Points(4), vg.Points(3)}},
}

// plot is docs/scale.svg: istiod's CPU time for a change of one plugin, by plugins and by proxies.
func (r report) plot(w io.Writer) error {
	plot.DefaultFont.Variant = "Sans"
	byPlugins, err := r.panel("100 proxies", "plugins", func(x row) (float64, bool) { return x.Num("plugins"), x["proxies"] == "100" })
	if err != nil {
		return err
	}
	byProxies, err := r.panel("100 plugins", "proxies", func(x row) (float64, bool) { return x.Num("proxies"), x["plugins"] == "100" })
	if err != nil {
		return err
	}
	byPlugins.Legend.Top, byPlugins.Legend.Left = true, true
	byProxies.Legend = plot.NewLegend()
	both := []*plot.Plot{byPlugins, byProxies}
	low, high := min(byPlugins.Y.Min, byProxies.Y.Min), max(byPlugins.Y.Max, byProxies.Y.Max)
	for _, p := range both {
		p.Y.Min, p.Y.Max = low, 10*high // room for the legend
	}
	canvas := vgsvg.New(24*vg.Centimeter, 10*vg.Centimeter)
	tiles := draw.Tiles{Rows: 1, Cols: 2, PadX: vg.Points(10)}
	for i, c := range plot.Align([][]*plot.Plot{both}, tiles, draw.New(canvas))[0] {
		both[i].Draw(c)
	}
	_, err = canvas.WriteTo(w)
	return err
}

func (r report) panel(title, axis string, at func(row) (float64, bool)) (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "One plugin changes, " + title
	p.X.Label.Text, p.Y.Label.Text = axis, "istiod's CPU time, s"
	p.BackgroundColor = color.White
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = decades{}, decades{}
	p.Add(plotter.NewGrid())
	for _, c := range curves {
		var points plotter.XYs
		for _, x := range r.Istiod {
			if v, ok := at(x); ok && x["step"] == "change" && x["reached"] == "true" && x["api"] == c.api && x["form"] == c.form {
				points = append(points, plotter.XY{X: v, Y: max(x.Num("cpu_s"), 0.01)}) // the clock's tick
			}
		}
		if len(points) == 0 {
			continue
		}
		slices.SortFunc(points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, err
		}
		line.Color, line.Dashes, line.Width = c.color, c.dashes, vg.Points(1.5)
		p.Add(line)
		p.Legend.Add(c.api+", "+c.form, line)
	}
	return p, nil
}

// decades are ticks at 0.01, 0.1, 1, 10 …
type decades struct{}

func (decades) Ticks(low, high float64) (all []plot.Tick) {
	for _, v := range []float64{0.01, 0.1, 1, 10, 100, 1000} {
		if v >= low*0.999 && v <= high*1.001 {
			all = append(all, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', -1, 64)})
		}
	}
	return all
}
