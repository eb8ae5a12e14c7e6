package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	v3 "istio.io/istio/pilot/pkg/xds/v3"
)

// The steps that are measured.
const (
	connect = "connect" // all proxies connect, as when istiod starts anew
	change  = "change"  // the configuration of one plugin
	add     = "add"     // one plugin more
)

// A result is what one step of one fleet cost.
type result struct {
	fleet
	Step    string
	Reached bool          // in time; if not, the rest is what there was until then
	Held    time.Duration // until each proxy had acked what concerns it
	Last    time.Duration // until the last message
	Marked  int           // proxies that have acked the plugin that was changed or added
	Usage   Usage         // CPU of the step, memory after it
	Sent    map[string]*traffic
}

// measure takes the steps of a fleet. A step that is not through in time ends it.
func measure(ctx context.Context, istiod *control, f fleet, limit time.Duration) (results []result, err error) {
	objects, err := f.objects()
	if err != nil {
		return nil, err
	}
	var address string
	if err := istiod.Call("Istiod.Start", objects, &address); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	p := newProxies(f)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	step := func(name string, begin func() error, holds func() bool) error {
		var before, after Usage
		if err := istiod.Call("Istiod.Usage", struct{}{}, &before); err != nil {
			return err
		}
		limited, cancel := context.WithTimeoutCause(ctx, limit, errLate)
		defer cancel()
		began := time.Now()
		if err := begin(); err != nil {
			return err
		}
		r := result{fleet: f, Step: name}
		var err error
		r.Held, r.Last, err = p.wait(limited, began, holds)
		if err != nil && !errors.Is(err, errLate) {
			return err
		}
		r.Reached = err == nil
		if err := istiod.Call("Istiod.Usage", struct{}{}, &after); err != nil {
			return err
		}
		r.Usage = Usage{CPU: after.CPU - before.CPU, Heap: after.Heap, PeakRSS: after.PeakRSS}
		p.mu.Lock()
		r.Sent, r.Marked = p.sent, len(p.marked)
		p.mu.Unlock()
		results = append(results, r)
		return err
	}
	apply := func(plugin int, mark string) func() error {
		return func() error {
			object, err := f.object(plugin, mark)
			if err != nil {
				return err
			}
			p.count(mark)
			return istiod.Call("Istiod.Apply", object, &struct{}{})
		}
	}
	err = step(connect, func() error {
		running.Go(func() { cancel(p.run(ctx, address)) })
		return nil
	}, p.complete)
	if err == nil {
		err = step(change, apply(0, "as it is now"), p.reached(0))
	}
	if err == nil {
		err = step(add, apply(f.Plugins, "one more"), p.reached(f.Plugins))
	}
	if errors.Is(err, errLate) {
		return results, nil
	}
	return results, err
}

var errLate = errors.New("not in time")

// header of the lines that write writes.
var header = []string{
	"api", "form", "plugins", "proxies", "step", "reached", "acked_s", "last_s", "cpu_s", "heap_MiB", "peak_rss_MiB",
	"cds_bytes", "cds_proxies", "lds_bytes", "lds_proxies", "rds_bytes", "rds_proxies", "ecds_bytes", "ecds_proxies",
}

func write(w io.Writer, results []result) error {
	c := csv.NewWriter(w)
	for _, r := range results {
		seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) }
		line := []string{
			r.API, r.Form, fmt.Sprint(r.Plugins), fmt.Sprint(r.Proxies), r.Step, fmt.Sprint(r.Reached),
			seconds(r.Held), seconds(r.Last), seconds(r.Usage.CPU), fmt.Sprint(r.Usage.Heap >> 20), fmt.Sprint(r.Usage.PeakRSS >> 20),
		}
		for _, kind := range []string{v3.ClusterType, v3.ListenerType, v3.RouteType, v3.ExtensionConfigurationType} {
			line = append(line, fmt.Sprint(r.Sent[kind].Bytes), fmt.Sprint(len(r.Sent[kind].Proxies)))
		}
		_ = c.Write(line) // Error has it
	}
	c.Flush()
	return c.Error()
}
