package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/prometheus/procfs"
)

// A round is the CPU time of Envoy per request, in microseconds, by peer.
type round map[string]float64

// base is a request without filters. Both arms without any are taken, which halves their noise.
func (r round) base() float64 { return (r[nothing] + r[nothingAgain]) / 2 }

// perFilter is what one copy of the peer's filter adds to a request.
func (r round) perFilter(name string) float64 { return (r[name] - r.base()) / copies }

// measureCost sends requests through chains of every peer in one Envoy, all peers once a round and each time in another order.
func measureCost(ctx context.Context, o options, peers []peer, stderr io.Writer) ([]round, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	chains, err := newChains(peers, copies)
	if err != nil {
		return nil, err
	}
	e, err := startEnvoy(ctx, o.envoy, dir, 1, chains)
	if err != nil {
		return nil, err
	}
	defer e.stop()
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	if err := pinApart(e.cmd.Process.Pid); err != nil {
		return nil, err
	}
	for _, c := range chains { // caches, allocators, V8's optimized code
		if _, err := load(ctx, c.url(), time.Second, 0); err != nil {
			return nil, err
		}
	}
	var rounds []round
	for i := range o.rounds {
		order := slices.Clone(chains)
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		r := round{}
		for _, c := range order {
			if r[c.peer.Name], err = e.perRequest(ctx, c, o.seconds); err != nil {
				return nil, err
			}
		}
		rounds = append(rounds, r)
		fmt.Fprintf(stderr, "bench: round %d of %d: %.2f µs without a filter, %.2f µs per addheader\n", i+1, o.rounds, r.base(), r.perFilter(ours))
	}
	return rounds, nil
}

// perRequest is the CPU time of Envoy per request to the chain, in microseconds.
func (e *running) perRequest(ctx context.Context, c chain, duration time.Duration) (float64, error) {
	fs, err := procfs.NewDefaultFS()
	if err != nil {
		return 0, err
	}
	before, err := usageOf(fs, e.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	requests, err := load(ctx, c.url(), duration, 0)
	if err != nil {
		return 0, err
	}
	after, err := usageOf(fs, e.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	return float64((after.cpu - before.cpu).Microseconds()) / float64(requests), nil
}

// What the ratio of two equal chains may be. Beyond, the machine was too busy to compare anything.
const lowestAA, highestAA = 0.97, 1.03

// voided says why the rounds prove nothing, if they do not.
func voided(aa estimate) error {
	if aa.Median >= lowestAA && aa.Median <= highestAA {
		return nil
	}
	return fmt.Errorf("the run is void: the same chain measured twice has a ratio of %.3f (A/A), outside %.2f to %.2f. run it again on a quieter machine, or with more --rounds",
		aa.Median, lowestAA, highestAA)
}
