//go:build envoy && !soak

package loadcheck_test

// longForm asks each Envoy for each function alone: make soak.
const longForm = false
