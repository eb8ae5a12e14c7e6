package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/prometheus/procfs"
)

// A start is one Envoy with one copy of a filter.
type start struct {
	first200  float64 // milliseconds from the start of the process
	cpu       float64 // milliseconds that it spent by then
	rss       float64 // MiB, after some requests, with startWorkers
	perWorker float64 // MiB that one worker more takes
}

// startWorkers is Envoy's --concurrency in these measurements. moreWorkers is that of a second one that shows what a worker takes.
const startWorkers, moreWorkers = 2, 6

// measureStarts starts an Envoy of its own for every peer, all peers once a round. It returns the starts of each round by peer.
func measureStarts(ctx context.Context, o options, peers []peer, stderr io.Writer) ([]map[string]start, error) {
	var rounds []map[string]start
	for i := range o.starts {
		r := map[string]start{}
		for _, p := range peers {
			if p.Name == nothingAgain {
				continue
			}
			s, err := startOnce(ctx, o.envoy, startWorkers, p)
			if err != nil {
				return nil, err
			}
			more, err := startOnce(ctx, o.envoy, moreWorkers, p)
			if err != nil {
				return nil, err
			}
			s.perWorker = (more.rss - s.rss) / (moreWorkers - startWorkers)
			r[p.Name] = s
		}
		rounds = append(rounds, r)
		fmt.Fprintf(stderr, "bench: start %d of %d: %.0f ms without a filter, %.0f ms with addheader\n", i+1, o.starts, r[nothing].first200, r[ours].first200)
	}
	return rounds, nil
}

func startOnce(ctx context.Context, path string, workers int, p peer) (start, error) {
	var s start
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return s, err
	}
	defer os.RemoveAll(dir)
	chains, err := newChains([]peer{p}, 1)
	if err != nil {
		return s, err
	}
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return s, err
	}
	began := time.Now()
	e, err := startEnvoy(ctx, path, dir, workers, chains)
	if err != nil {
		return s, err
	}
	defer e.stop()
	if err := e.ready(ctx); err != nil {
		return s, err
	}
	s.first200 = milliseconds(time.Since(began))
	u, err := usageOf(fs, e.cmd.Process.Pid)
	if err != nil {
		return s, err
	}
	s.cpu = milliseconds(u.cpu)
	if _, err := load(ctx, chains[0].url(), 0, 2000); err != nil {
		return s, err
	}
	if u, err = usageOf(fs, e.cmd.Process.Pid); err != nil {
		return s, err
	}
	s.rss = float64(u.rss) / (1 << 20)
	return s, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
