//go:build envoy

package envoy

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// Configuration and module change while requests are served. None of them fails, and no VM stays behind.
func TestReloadLosesNoRequest(t *testing.T) {
	const workers = 2
	f := probe(t, "FAIL_RELOAD")
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(saying(t, f, "v0")), Workers: workers})
	// The first requests load what the first swaps would be blamed for.
	versions := map[string]bool{"v0": true}
	for i := range swaps + 1 {
		versions[fmt.Sprintf("v%d", i)] = true
	}
	tr := p.Traffic(4, "/", func(a envoytest.Answer) error {
		if got := a.Header.Values("x-probe"); len(got) != 1 || !versions[got[0]] {
			return fmt.Errorf("the header is %q", got)
		}
		return envoytest.OK(a)
	})
	var took []time.Duration
	var memory []int
	for i := 1; i <= swaps; i++ {
		tr.AtLeast(swapRequests / swaps)
		next := saying(t, f, fmt.Sprintf("v%d", i))
		if i%2 == 0 {
			next.Module = envoytest.OtherBytes(next.Module, fmt.Sprint("swap", i))
		}
		begin := time.Now()
		p.Switch(next)
		took = append(took, time.Since(begin))
		require.Equal(t, fmt.Sprintf("v%d", i), p.Get("/").Header.Get("x-probe"))
		memory = append(memory, p.Memory())
		time.Sleep(time.Until(begin.Add(swapEvery)))
	}
	tr.Stop()
	require.GreaterOrEqual(t, tr.Requests(), swapRequests)
	// One on the main thread, one that the others are cloned from, one for each worker.
	vms := func() int { return p.Stat(`wasm\.envoy\.wasm\.runtime\.v8\.active`) }
	require.Eventually(t, func() bool { return vms() == workers+2 }, envoytest.Timeout, envoytest.Interval, "%d VMs", vms())
	half := memory[len(memory)/2:]
	growth := slices.Max(half) - half[0]
	t.Logf("%d requests, %d swaps, the slowest %s; memory %d MB after the first and %d MB after the last, at most %+d kB in the second half",
		tr.Requests(), swaps, slices.Max(took), memory[0]/megabyte, memory[len(memory)-1]/megabyte, growth/1024)
	require.LessOrEqual(t, growth, swapGrowth)
	p.NeverTrapped()
}

// What the filter or Envoy refuses is said, and changes nothing.
func TestRefusedVersionChangesNothing(t *testing.T) {
	good := probe(t, "FAIL_RELOAD")
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(saying(t, good, "one"))})

	require.Equal(t, "probe: want value", p.Refuses(refused(t, good)))
	require.Equal(t, "one", p.Get("/").Header.Get("x-probe"))

	broken := saying(t, good, "two")
	broken.Module = good.Module[:len(good.Module)/2]
	require.Contains(t, p.Refuses(broken), "corrupted Wasm module")
	require.Equal(t, "one", p.Get("/").Header.Get("x-probe"))

	p.Switch(saying(t, good, "three"))
	require.Equal(t, "three", p.Get("/").Header.Get("x-probe"))
}
