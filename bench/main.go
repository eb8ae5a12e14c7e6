// Command bench measures addheader beside the other ways to set a response header in Envoy, all in one run.
package main

import (
	"context"
	"flag"
	"io"
	"os"
	"strings"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/envoy"
)

func main() { os.Exit(command().Main(os.Args[1:], os.Stdout, os.Stderr)) }

// options are the flags.
type options struct {
	rounds, starts int
	seconds        time.Duration
	write          bool
	envoy          string
}

func command() cli.Command {
	var o options
	return cli.Command{
		Name: "bench",
		About: `Measures CPU time per request, size, start and memory of addheader and its peers in Envoy and prints them with the project's
goals. It runs in bench/ after build.sh and "make build", for six minutes. It exits 1 when a goal is missed, and when the
machine's noise has spoilt the run.`,
		Flags: func(f *flag.FlagSet) {
			f.IntVar(&o.rounds, "rounds", 15, "`number` of times that every peer is loaded")
			f.DurationVar(&o.seconds, "seconds", 2*time.Second, "`time` of each load, such as 2s")
			f.IntVar(&o.starts, "starts", 7, "`number` of times that an Envoy is started with every peer")
			f.BoolVar(&o.write, "write", false, "write docs/benchmarks.md and what it shows")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) != 0 || o.rounds < 1 || o.starts < 1 || o.seconds <= 0 {
				return cli.Usage("want no arguments and positive numbers")
			}
			var err error
			if o.envoy, err = envoy.FindEnvoy(); err != nil {
				return err
			}
			return bench(ctx, o, stdout, stderr)
		},
	}
}

func bench(ctx context.Context, o options, stdout, stderr io.Writer) error {
	peers := peers()
	for _, p := range peers {
		if _, err := p.size(); err != nil {
			return err
		}
	}
	// Starts first: afterwards this process is pinned, and what it starts with it.
	starts, err := measureStarts(ctx, o, peers, stderr)
	if err != nil {
		return err
	}
	rounds, err := measureCost(ctx, o, peers, stderr)
	if err != nil {
		return err
	}
	if err := voided(aaOf(rounds)); err != nil {
		return cli.Finding("%w", err)
	}
	r, err := newReport(o, peers, rounds, starts)
	if err != nil {
		return err
	}
	if o.write {
		if err := write("../docs", r, rounds); err != nil {
			return err
		}
	}
	if err := r.table(stdout); err != nil {
		return err
	}
	if missed := r.missed(); len(missed) > 0 {
		return cli.Finding("missed: %s", strings.Join(missed, "; "))
	}
	return nil
}
