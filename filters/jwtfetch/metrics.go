package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"github.com/wasmfleet/wasmfleet/filters/internal/metric"
)

// metrics counts into the statistics of the proxy and writes to its log, for one object. It implements logger.
type metrics struct {
	name, where string
	names       []string
	isMissing   bool // a variable, which then has a gauge

	fetches     metric.Counter          // jwtfetch_fetches_total in Prometheus
	failures    [reasons]metric.Counter // jwtfetch_failures_<reason>_total
	denied      metric.Counter          // jwtfetch_denied_total
	expiry      metric.Gauge            // jwtfetch_token_expiry_timestamp_seconds
	lastSuccess metric.Gauge            // jwtfetch_last_success_timestamp_seconds
}

// newMetrics defines the metrics of an object, of which a proxy may have several: each has its own.
func newMetrics(object, cluster string) *metrics {
	m := &metrics{name: metric.Prefix(object, "jwtfetch"), where: "jwtfetch: " + object + ": " + cluster + ": "}
	m.fetches = metric.NewCounter(m.keep("fetches.total"))
	m.denied = metric.NewCounter(m.keep("denied.total"))
	m.expiry = metric.NewGauge(m.keep("token.expiry.timestamp.seconds"))
	m.lastSuccess = metric.NewGauge(m.keep("last.success.timestamp.seconds"))
	for i, reason := range [reasons]string{
		notSent: "notsent", noSecret: "nosecret", noAnswer: "noanswer", badStatus: "badstatus",
		tooLarge: "toolarge", noToken: "notoken", badToken: "badtoken", noLifetime: "nolifetime",
	} {
		m.failures[i] = metric.NewCounter(m.keep("failures." + reason + ".total"))
	}
	return m
}

// keep returns the whole name of a metric, and keeps it: the emulator of the SDK's tests refers to the guest's own bytes.
func (m *metrics) keep(name string) string {
	name = m.name + name
	m.names = append(m.names, name)
	return name
}

// fetching implements logger.
func (m *metrics) fetching() { m.fetches.Increment() }

// has implements logger.
func (m *metrics) has(t token, until instant) {
	m.expiry.Set(int64(until) / 1000)
	m.lastSuccess.Set(int64(t.since) / 1000)
}

// fetched implements logger.
func (m *metrics) fetched(text string) { proxywasm.LogInfo(m.where + text) }

// failed implements logger.
func (m *metrics) failed(f *failure, text string) {
	m.failures[f.reason].Increment()
	if f.variable != "" && !m.isMissing {
		m.isMissing = true
		metric.NewGauge(m.keep("missing." + f.variable)).Set(1)
	}
	proxywasm.LogWarn(m.where + text)
}
