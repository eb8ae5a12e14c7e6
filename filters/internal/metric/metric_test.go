package metric

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
)

// The module's side of this package is tested where a filter counts.
func TestMetrics(t *testing.T) {
	host, reset := proxytest.NewHostEmulator(proxytest.NewEmulatorOption())
	defer reset()

	counter := NewCounter("filter.things.total")
	counter.Increment()
	NewCounter("filter.things.total").Increment()
	total, err := host.GetCounterMetric("filter.things.total")
	require.NoError(t, err)
	require.EqualValues(t, 2, total, "the same name is the same metric")

	gauge := NewGauge("filter.level")
	for set, want := range map[int64]uint64{7: 7, 0: 0, -1: 0} {
		gauge.Set(set)
		level, err := host.GetGaugeMetric("filter.level")
		require.NoError(t, err)
		require.Equal(t, want, level)
	}

	require.NotPanics(t, func() {
		Counter{}.Increment()
		Gauge{}.Set(1)
	}, "metrics that the host refused")
}
