// Command scale makes docs/scale.md and its plot of the figures beside it, which test/e2e/scale and bench/fleet have measured.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"text/template"

	"github.com/prometheus/procfs"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

func main() { os.Exit(command().Main(os.Args[1:], os.Stdout, os.Stderr)) }

func command() cli.Command {
	var from, docs string
	var write bool
	return cli.Command{
		Name:  "scale",
		About: `Prints docs/scale.md, made of CSV files. The machine that it names is the one that it runs on.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&from, "from", "build", "`folder` with the CSV files")
			f.StringVar(&docs, "docs", "../docs", "`folder` that --write writes to")
			f.BoolVar(&write, "write", false, "write scale.md, its plot and the CSV files instead")
		},
		Run: func(_ context.Context, args []string, stdout, _ io.Writer) error {
			if len(args) != 0 {
				return cli.Usage("want no arguments")
			}
			r, err := read(from)
			if err != nil {
				return err
			}
			if r.Machine, err = machine(); err != nil {
				return err
			}
			if !write {
				return r.markdown(stdout)
			}
			return r.write(from, docs)
		},
	}
}

func (r report) write(from, docs string) error {
	var text, svg bytes.Buffer
	if err := r.markdown(&text); err != nil {
		return err
	}
	if err := r.plot(&svg); err != nil {
		return err
	}
	files := map[string][]byte{"scale.md": text.Bytes(), "scale.svg": svg.Bytes()}
	for _, name := range []string{istiods, rollouts, filters} {
		var err error
		if files[name], err = os.ReadFile(filepath.Join(from, name)); err != nil {
			return err
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(docs, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// The files.
const (
	istiods  = "scale.csv"
	rollouts = "scale-rollout.csv"
	filters  = "scale-filters.csv"
)

// A row is a line of a CSV file, by the names of its columns.
type row map[string]string

// Num is a number of a row.
func (r row) Num(column string) float64 {
	n, err := strconv.ParseFloat(r[column], 64)
	if err != nil {
		panic(fmt.Sprintf("column %q holds %q, which is no number", column, r[column]))
	}
	return n
}

// MB is the sum of columns of bytes.
func (r row) MB(columns ...string) string {
	sum := 0.0
	for _, c := range columns {
		sum += r.Num(c)
	}
	mb := sum / 1e6
	if mb >= 10 {
		return fmt.Sprintf("%.0f", mb)
	}
	return fmt.Sprintf("%.2f", mb)
}

// Acked is the time until each proxy has acked what concerns it.
func (r row) Acked() string {
	if r["reached"] != "true" {
		return "not reached"
	}
	return r["acked_s"]
}

// A report is what was measured.
type report struct {
	Machine                   string
	Istiod, Rollouts, Filters []row
}

// The fleet of the first table, and the proxies of a workload.
func (report) Few() int      { return 100 }
func (report) Some() int     { return 1000 }
func (report) Replicas() int { return 10 }

func read(dir string) (r report, err error) {
	for name, to := range map[string]*[]row{istiods: &r.Istiod, rollouts: &r.Rollouts, filters: &r.Filters} {
		if *to, err = rows(filepath.Join(dir, name)); err != nil {
			return r, err
		}
	}
	return r, nil
}

func machine() (string, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return "", err
	}
	cpus, err := fs.CPUInfo()
	if err != nil || len(cpus) == 0 {
		return "", fmt.Errorf("reading the kind of CPU: %w", err)
	}
	memory, err := fs.Meminfo()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d CPUs, %s, %d GiB, %s/%s", runtime.NumCPU(), cpus[0].ModelName, *memory.MemTotal>>20, runtime.GOOS, runtime.GOARCH), nil
}

func rows(file string) (all []row, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil || len(lines) == 0 {
		return nil, fmt.Errorf("reading %s: no lines: %w", file, err)
	}
	for _, line := range lines[1:] {
		r := row{}
		for i, name := range lines[0] {
			r[name] = line[i]
		}
		all = append(all, r)
	}
	return all, nil
}

// Of are the rows of a step, and of the fleets of that size.
func (r report) Of(step string, plugins, proxies int) (all []row) {
	for _, x := range r.Istiod {
		if x["step"] == step && x["plugins"] == fmt.Sprint(plugins) && x["proxies"] == fmt.Sprint(proxies) {
			all = append(all, x)
		}
	}
	return all
}

// Changes and Connects are the rows of the tables over all sizes, which leave out an API that is as another one.
func (r report) Changes() []row  { return r.all("change") }
func (r report) Connects() []row { return r.all("connect") }

func (r report) all(step string) (all []row) {
	for _, x := range r.Istiod {
		if x["step"] == step && x["api"] != "TrafficExtension" {
			all = append(all, x)
		}
	}
	return all
}

// One is the row of one fleet.
func (r report) One(step, api, form string, plugins, proxies int) (row, error) {
	for _, x := range r.Of(step, plugins, proxies) {
		if x["api"] == api && x["form"] == form {
			return x, nil
		}
	}
	return nil, fmt.Errorf("no figures for a %s of %d plugins and %d proxies: %s, %s", step, plugins, proxies, api, form)
}

//go:embed scale.md.tmpl
var page string

func (r report) markdown(w io.Writer) error {
	return template.Must(template.New("scale.md").Parse(page)).Execute(w, r)
}
