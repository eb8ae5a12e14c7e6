//go:build envoy && soak

package envoy

import "time"

// The long form of the suite: `make soak`.
const (
	longForm = true

	memoryRequests  = 2_000_000
	controlRequests = 500_000
	controlGrowth   = 50 * megabyte

	mutatedConfigurations = 1000

	swaps        = 100
	swapRequests = 100_000
	swapEvery    = time.Second
	swapGrowth   = 12 * megabyte

	hostileRequests = 10_000 // of each HTTP version
)
