// Package metric is the SDK's metrics without their cost: the SDK formats a message and panics when the host refuses a metric,
// which links fmt into the module and lets a statistic take the proxy's worker down. Here a refused metric counts nothing.
//
// Envoy shows a metric as wasmcustom.<name>, and Prometheus as <name> with underscores. Every plugin of a proxy that defines the
// same name counts into the same metric.
package metric

// The types of a metric as the ABI numbers them.
const (
	counterType = 0
	gaugeType   = 1
)

// A Counter only goes up.
type Counter struct {
	id    uint32
	valid bool
}

// NewCounter defines a counter. Call it in OnPluginStart.
func NewCounter(name string) Counter {
	id, ok := define(counterType, name)
	return Counter{id, ok}
}

// Increment adds one.
func (c Counter) Increment() {
	if c.valid {
		increment(c.id, 1)
	}
}

// A Gauge is set.
type Gauge struct {
	id    uint32
	valid bool
}

// NewGauge defines a gauge. Call it in OnPluginStart.
func NewGauge(name string) Gauge {
	id, ok := define(gaugeType, name)
	return Gauge{id, ok}
}

// Set sets the gauge; what is below zero is zero, as Envoy's gauges have no sign.
func (g Gauge) Set(value int64) {
	if g.valid {
		record(g.id, uint64(max(value, 0)))
	}
}
