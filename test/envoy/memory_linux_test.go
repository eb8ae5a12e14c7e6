package envoy

import (
	"fmt"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoyconfig"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

const megabyte = 1 << 20

// A filter that reads headers does not grow: what the host puts into the guest is freed there.
func TestMemoryIsFlat(t *testing.T) {
	growth := memoryGrowth(t, memoryRequests)
	t.Logf("%d requests: %+d kB", memoryRequests, growth/1024)
	require.LessOrEqual(t, growth, megabyte)
}

// The control: without the tag custommalloc TinyGo's malloc keeps all that the host ever asked for, so the test above can fail.
func TestMemoryGrowsWithoutCustommalloc(t *testing.T) {
	growth := memoryGrowth(t, controlRequests, "-tags=custommalloc")
	t.Logf("%d requests: %+d kB", controlRequests, growth/1024)
	require.Greater(t, growth, controlGrowth)
}

// memoryGrowth is by how many bytes Envoy's resident memory grows with requests to the probe, built without some flags.
func memoryGrowth(t *testing.T, requests int, without ...string) int {
	t.Helper()
	p := envoytest.Start(t, envoytest.Setup{
		Filters: envoytest.Chain(probe(t, "FAIL_RELOAD", without...)),
		Routes:  []*routev3.Route{envoyconfig.DirectResponse("/direct", 200, "")},
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
