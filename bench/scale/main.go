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
	var dir string
	var write bool
	return cli.Command{
		Name:  "scale",
		About: `Prints docs/scale.md, made of the CSV files beside it. The machine that it names is the one that it runs on.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&dir, "docs", "../docs", "`folder` with the CSV files")
			f.BoolVar(&write, "write", false, "write scale.md and scale.svg there instead")
		},
		Run: func(_ context.Context, args []string, stdout, _ io.Writer) error {
			if len(args) != 0 {
				return cli.Usage("want no arguments")
			}
			r, err := read(dir)
			if err != nil {
				return err
			}
			if !write {
				return r.markdown(stdout)
			}
			for name, content := range map[string]func(io.Writer) error{"scale.md": r.markdown, "scale.svg": r.plot} {
				var b bytes.Buffer
				if err := content(&b); err != nil {
					return fmt.Errorf("writing %s: %w", name, err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

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
	Machine  string
	Istiod   []row
	Rollouts []row
}

func read(dir string) (r report, err error) {
	if r.Istiod, err = rows(filepath.Join(dir, "scale.csv")); err != nil {
		return r, err
	}
	if r.Rollouts, err = rows(filepath.Join(dir, "scale-rollout.csv")); err != nil {
		return r, err
	}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return r, err
	}
	cpus, err := fs.CPUInfo()
	if err != nil || len(cpus) == 0 {
		return r, fmt.Errorf("reading the kind of CPU: %w", err)
	}
	memory, err := fs.Meminfo()
	if err != nil {
		return r, err
	}
	r.Machine = fmt.Sprintf("%d CPUs, %s, %d GiB, %s/%s", runtime.NumCPU(), cpus[0].ModelName, *memory.MemTotal>>20, runtime.GOOS, runtime.GOARCH)
	return r, nil
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

// One is the row of a fleet's step; nil when an earlier step was not reached.
func (r report) One(step, api, form string, plugins, proxies int) row {
	for _, x := range r.Of(step, plugins, proxies) {
		if x["api"] == api && x["form"] == form {
			return x
		}
	}
	return nil
}

//go:embed scale.md.tmpl
var page string

func (r report) markdown(w io.Writer) error {
	return template.Must(template.New("scale.md").Parse(page)).Execute(w, r)
}
