//go:build envoy && soak

package loadcheck_test

const longForm = true
