//go:build !envoy

package plugintest

const compiled = false
