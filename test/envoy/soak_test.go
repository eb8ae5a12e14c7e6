//go:build soak

package envoy

// The long form of the suite: `make soak`.
const (
	memoryRequests  = 2_000_000
	controlRequests = 500_000
	controlGrowth   = 50 * megabyte

	mutatedConfigurations = 1000

	swaps        = 100
	swapRequests = 100_000

	herdProxies = 5
)
