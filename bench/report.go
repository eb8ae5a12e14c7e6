package main

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"text/tabwriter"
	"text/template"

	"github.com/prometheus/procfs"
)

// A report is what a run found.
type report struct {
	Machine, Envoy, TinyGo, Go, Rust string

	Rounds, Starts int
	Seconds        float64
	Copies         int

	Base, AA estimate // without a filter, µs per request; the same twice, as a ratio
	Rows     []row
	Goals    []goal
	// RustPruned is addheader over Rust pruned the same way.
	RustPruned estimate
}

// A row is one peer.
type row struct {
	Peer                             string
	Ours                             bool
	Size                             string
	Cost                             estimate // µs per filter and request
	Ratio                            estimate // addheader over the peer
	First200, CPU, RSS, RSSPerWorker estimate // ms, ms, MiB over an empty Envoy, MiB
}

func newReport(o options, peers []peer, rounds []round, starts []map[string]start) (report, error) {
	r := report{
		Rounds: o.rounds, Starts: o.starts, Seconds: o.seconds.Seconds(), Copies: copies,
		Base: estimateOf(each(rounds, round.base)), AA: aaOf(rounds),
		Goals: goalsOf(rounds, starts), RustPruned: ratioTo(rounds, rustPruned),
	}
	for _, p := range peers {
		if p.empty() {
			continue
		}
		size, err := p.size()
		if err != nil {
			return r, err
		}
		of := func(f func(map[string]start) float64) estimate { return estimateOf(each(starts, f)) }
		r.Rows = append(r.Rows, row{
			Peer: p.Name, Ours: p.Name == ours, Size: thousands(size),
			Cost:         estimateOf(each(rounds, func(r round) float64 { return r.perFilter(p.Name) })),
			Ratio:        ratioTo(rounds, p.Name),
			First200:     of(func(s map[string]start) float64 { return s[p.Name].first200 }),
			CPU:          of(func(s map[string]start) float64 { return s[p.Name].cpu }),
			RSS:          of(func(s map[string]start) float64 { return overEmpty(s, p.Name) }),
			RSSPerWorker: of(func(s map[string]start) float64 { return s[p.Name].perWorker - s[nothing].perWorker }),
		})
	}
	return r, r.versions(o)
}

func aaOf(rounds []round) estimate {
	return estimateOf(each(rounds, func(r round) float64 { return r[nothingAgain] / r[nothing] }))
}

// versions of what was measured and what built it.
func (r *report) versions(o options) error {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return err
	}
	cpus, err := fs.CPUInfo()
	if err != nil || len(cpus) == 0 {
		return fmt.Errorf("reading the kind of CPU: %w", err)
	}
	r.Machine = fmt.Sprintf("%d CPUs, %s, %s/%s", runtime.NumCPU(), cpus[0].ModelName, runtime.GOOS, runtime.GOARCH)
	r.Go = strings.TrimPrefix(runtime.Version(), "go")
	version, err := os.ReadFile("build/rust.version")
	if err != nil {
		return fmt.Errorf("reading the version of Rust: %w. run bench/build.sh", err)
	}
	r.Rust = second(string(version))
	out, err := exec.Command("../.tools/bin/tinygo", "version").Output()
	if err != nil {
		return fmt.Errorf("reading the version of TinyGo: %w. run \"make tools\"", err)
	}
	r.TinyGo = strings.Fields(string(out) + " ? ? ?")[2]
	if out, err = exec.Command(o.envoy, "--version").Output(); err != nil {
		return fmt.Errorf("reading the version of Envoy: %w", err)
	}
	for _, part := range strings.Split(string(out), "/") {
		if strings.Count(part, ".") == 2 {
			r.Envoy = part
		}
	}
	return nil
}

// table is for a terminal.
func (r report) table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "peer\tbytes\tµs per request\t95 %%\taddheader is\t95 %%\tfirst 200, ms\tCPU, ms\tRSS, MiB\tper worker\n")
	for _, x := range r.Rows {
		ratio, interval := fmt.Sprintf("%.2f x", x.Ratio.Median), fmt.Sprintf("%.2f-%.2f", x.Ratio.Low, x.Ratio.High)
		if x.Ours {
			ratio, interval = "", ""
		}
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%.2f-%.2f\t%s\t%s\t%.0f\t%.0f\t%+.1f\t%+.1f\n", x.Peer, x.Size, x.Cost.Median, x.Cost.Low, x.Cost.High,
			ratio, interval, x.First200.Median, x.CPU.Median, x.RSS.Median, x.RSSPerWorker.Median)
	}
	fmt.Fprintf(t, "\ngoal\tpeer\tat most\tmeasured\t95 %%\t\n")
	for _, g := range r.Goals {
		fmt.Fprintf(t, "%s\t%s\t%.3g\t%.3g\t%.3g-%.3g\t%s\n", g.What, g.Peer, g.Limit, g.Ratio.Median, g.Ratio.Low, g.Ratio.High, g.Verdict())
	}
	fmt.Fprintf(t, "\nwithout a filter %.2f µs per request; A/A %.3f (%.3f-%.3f); %d rounds of %g s, %d copies\n",
		r.Base.Median, r.AA.Median, r.AA.Low, r.AA.High, r.Rounds, r.Seconds, r.Copies)
	return t.Flush()
}

//go:embed benchmarks.md.tmpl
var markdown string

// markdown is docs/benchmarks.md.
func (r report) markdown(w io.Writer) error {
	return template.Must(template.New("benchmarks.md").Parse(markdown)).Execute(w, r)
}

// thousands writes 1234567 as 1,234,567, and nothing for no module.
func thousands(n int64) string {
	if n == 0 {
		return "-"
	}
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func second(s string) string { return strings.Fields(s + " ? ?")[1] }
