package main

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

	"github.com/wasmfleet/wasmfleet/filters/internal/metric"
)

// metrics counts into the statistics of the proxy and writes to its log. It implements logger.
type metrics struct {
	fetches  metric.Counter          // jwtfetch_fetches_total in Prometheus
	failures [reasons]metric.Counter // jwtfetch_failures_<reason>_total
	denied   metric.Counter          // jwtfetch_denied_total
	expiry   metric.Gauge            // jwtfetch_token_expiry_timestamp_seconds
}

func newMetrics() *metrics {
	return &metrics{
		fetches: metric.NewCounter("jwtfetch.fetches.total"),
		failures: [reasons]metric.Counter{
			notSent:    metric.NewCounter("jwtfetch.failures.notsent.total"),
			noAnswer:   metric.NewCounter("jwtfetch.failures.noanswer.total"),
			badStatus:  metric.NewCounter("jwtfetch.failures.badstatus.total"),
			tooLarge:   metric.NewCounter("jwtfetch.failures.toolarge.total"),
			noToken:    metric.NewCounter("jwtfetch.failures.notoken.total"),
			badToken:   metric.NewCounter("jwtfetch.failures.badtoken.total"),
			noLifetime: metric.NewCounter("jwtfetch.failures.nolifetime.total"),
		},
		denied: metric.NewCounter("jwtfetch.denied.total"),
		expiry: metric.NewGauge("jwtfetch.token.expiry.timestamp.seconds"),
	}
}

// fetching implements logger.
func (m *metrics) fetching() { m.fetches.Increment() }

// fetched implements logger.
func (m *metrics) fetched(text string, expiry instant) {
	m.expiry.Set(int64(expiry) / 1000)
	proxywasm.LogInfo("jwtfetch: " + text)
}

// failed implements logger.
func (m *metrics) failed(why reason, text string) {
	m.failures[why].Increment()
	proxywasm.LogWarn("jwtfetch: " + text)
}
