//go:build envoy

package envoy

import (
	"fmt"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// A filter that reads headers does not grow: what the host puts into the guest is freed there.
func TestMemoryIsFlat(t *testing.T) {
	module, _ := fixture(t, "probe")
	growth := memoryGrowth(t, module, memoryRequests)
	t.Logf("%d requests: %+d kB", memoryRequests, growth/1024)
	require.LessOrEqual(t, growth, megabyte)
}

// The control: Envoy takes the export malloc where there is one, and TinyGo's keeps all that the host ever asked for. So the test
// above can fail.
func TestMemoryGrowsWithMalloc(t *testing.T) {
	_, raw := fixture(t, "probe")
	growth := memoryGrowth(t, raw, controlRequests)
	t.Logf("%d requests: %+d kB", controlRequests, growth/1024)
	require.Greater(t, growth, controlGrowth)
}

// memoryGrowth is by how many bytes Envoy's resident memory grows with requests to that module of the probe.
func memoryGrowth(t *testing.T, module []byte, requests int) int {
	t.Helper()
	p := envoytest.Start(t, envoytest.Setup{
		Filters: envoytest.Chain(sandbox.Filter{Plugin: envoytest.Plugin(t, "probe", "{}"), Module: module}),
		Routes:  []*routev3.Route{envoy.DirectResponse("/direct", 200, "")},
		Workers: 1,
	})
	tr := p.Traffic(4, "/direct", func(a envoytest.Answer) error {
		if a.Header.Get("x-probe") != "was here" {
			return fmt.Errorf("the probe is out of service: %s", a.Status)
		}
		return nil
	}, "user-agent: "+t.Name(), "x-trap: no")
	tr.AtLeast(20_000) // warm
	before := p.Memory()
	tr.AtLeast(requests)
	after := p.Memory()
	tr.Stop()
	p.NeverTrapped()
	return after - before
}
