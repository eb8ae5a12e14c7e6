//go:build !tinygo

package metric

import "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

// In a test of the Go contexts the emulator is reachable through the SDK only.

func define(kind uint32, name string) (uint32, bool) {
	if kind == counterType {
		return uint32(proxywasm.DefineCounterMetric(name)), true
	}
	return uint32(proxywasm.DefineGaugeMetric(name)), true
}

func increment(id uint32, offset int64) uint32 {
	proxywasm.MetricCounter(id).Increment(uint64(offset))
	return 0
}

func record(id uint32, value uint64) uint32 {
	// The SDK's gauge has no Set; its histogram records into whatever metric has this number.
	proxywasm.MetricHistogram(id).Record(value)
	return 0
}
