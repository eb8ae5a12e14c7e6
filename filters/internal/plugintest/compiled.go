//go:build envoy

package plugintest

// compiled tells whether tests also run with the compiled module: "make test" and "make ci" set the tag, having built it.
const compiled = true
