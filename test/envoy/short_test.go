//go:build envoy && !soak

package envoy

import "time"

// The short form of the suite, for every `make test`. soak_test.go has the long one.
const (
	longForm = false

	memoryRequests  = 100_000
	controlRequests = 60_000
	controlGrowth   = 8 * megabyte

	mutatedConfigurations = 100

	swaps        = 10
	swapRequests = 10_000
	swapEvery    = 200 * time.Millisecond
	swapGrowth   = 32 * megabyte

	hostileRequests = 500 // of each HTTP version
)
