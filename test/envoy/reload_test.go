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
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(addheader(t, `{name: hello, value: v0}`)), Workers: workers})
	// The first requests load what the first swaps would be blamed for.
	versions := map[string]bool{"v0": true}
	for i := range swaps + 1 {
		versions[fmt.Sprintf("v%d", i)] = true
	}
	tr := p.Traffic(4, "/", func(a envoytest.Answer) error {
		if hello := a.Header.Values("hello"); len(hello) != 1 || !versions[hello[0]] {
			return fmt.Errorf("the header is %q", hello)
		}
		return envoytest.OK(a)
	})
	var took []time.Duration
	var memory []int
	for i := 1; i <= swaps; i++ {
		tr.AtLeast(swapRequests / swaps)
		next := addheader(t, fmt.Sprintf(`{name: hello, value: v%d}`, i))
		if i%2 == 0 {
			next.Module = envoytest.OtherBytes(next.Module, fmt.Sprint("swap", i))
		}
		begin := time.Now()
		p.Switch(next)
		took = append(took, time.Since(begin))
		require.Equal(t, fmt.Sprintf("v%d", i), p.Get("/").Header.Get("hello"))
		memory = append(memory, p.Memory())
		time.Sleep(time.Until(begin.Add(swapEvery)))
	}
	tr.Stop()
	require.GreaterOrEqual(t, tr.Requests(), int64(swapRequests))
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
