//go:build !soak

package envoy

// The short form of the suite, for every `make test`. soak_test.go has the long one.
const (
	memoryRequests  = 100_000
	controlRequests = 60_000
	controlGrowth   = 8 * megabyte

	mutatedConfigurations = 100

	swaps        = 10
	swapRequests = 10_000

	herdProxies = 3
)
