// Package istiocompat is what the Istio minors that wasmfleet supports have in common and where they differ, as data.
package istiocompat

// minors are the supported Istio minors, oldest first, each with the Envoy minor it carries. Istio says that the two "tend to
// map one to one", eight apart. tested is the release of that minor which test/envoy runs the filters on.
var minors = []struct{ istio, envoy, tested string }{
	{"1.28", "1.36", "1.36.4"},
	{"1.29", "1.37", "1.37.0"},
	{"1.30", "1.38", "1.38.2"},
	{"1.31", "1.39", "1.39.3"},
}

// next is the release that the coming minor's Envoy is tested by, and what `make test` and `make run` use.
const next = "1.40.0"

// TestedEnvoys are the releases of Envoy that the filters are tested on, oldest first: one for each supported minor, and the next.
func TestedEnvoys() []string {
	var all []string
	for _, m := range minors {
		all = append(all, m.tested)
	}
	return append(all, next)
}

// Envoy is the Envoy minor inside the Istio minor; false when that minor is not supported.
func Envoy(istio string) (string, bool) {
	for _, m := range minors {
		if m.istio == istio {
			return m.envoy, true
		}
	}
	return "", false
}

// since is the first minor that has a kind of object which an older supported minor lacks.
var since = map[string]string{"TrafficExtension": "1.30"}

// Since is the first minor that has the kind; false when every supported minor has it.
func Since(kind string) (string, bool) {
	minor, ok := since[kind]
	return minor, ok
}

// TestedEnvoy is the release of Envoy that stands for the one inside the Istio minor; false when that minor is not supported.
func TestedEnvoy(istio string) (string, bool) {
	for _, m := range minors {
		if m.istio == istio {
			return m.tested, true
		}
	}
	return "", false
}

// Minors are the supported Istio minors, oldest first.
func Minors() []string {
	var all []string
	for _, m := range minors {
		all = append(all, m.istio)
	}
	return all
}
