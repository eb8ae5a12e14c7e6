package wasmfile

import (
	"fmt"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/istiocompat"
)

// MaxMemoryBytes is the largest memory that a module may ask for at start: 16 MiB, for every worker of every proxy.
const MaxMemoryBytes = 16 << 20

// Lint lists what Envoy would refuse in the module, or what would hurt it there. Each finding ends with the remedy.
func Lint(m *Module) []string {
	var findings []string
	add := func(format string, args ...any) { findings = append(findings, fmt.Sprintf(format, args...)) }

	switch m.ABI {
	case "0.2.0", "0.2.1":
	case "":
		add("no export proxy_abi_version_*: not a proxy-wasm module, or the SDK was not linked in. import the proxy-wasm SDK")
	default:
		add("proxy-wasm ABI %s: the supported ABIs are 0.2.0 and 0.2.1. build with a current SDK", m.ABI)
	}
	for _, i := range m.Imports {
		if !istiocompat.Provides(i.Module, i.Name, m.ABI) {
			add("import %s.%s is not provided by Envoy%s", i.Module, i.Name, cause(i))
		}
	}
	switch allocates := m.Has("proxy_on_memory_allocate"); {
	case allocates && m.Has("malloc"):
		add("exports malloc beside proxy_on_memory_allocate: Envoy takes malloc, whose memory TinyGo never frees. drop the export, as make build does")
	case !allocates && !m.Has("malloc"):
		add("exports neither proxy_on_memory_allocate nor malloc: Envoy cannot hand it any data. build with the proxy-wasm SDK")
	}
	if m.Has("_start") {
		add("exports _start: Envoy refuses the exit at its end. build a library: -buildmode=c-shared")
	}
	if m.MemoryBytes == 0 {
		add("exports no memory. build with the proxy-wasm SDK")
	}
	if m.MemoryBytes > MaxMemoryBytes {
		add("declares %d bytes of memory at start, the limit is %d: every worker of every proxy pays it. shrink the static data", m.MemoryBytes, MaxMemoryBytes)
	}
	return findings
}

// cause is the usual reason why a Go module has an import that Envoy lacks.
func cause(i Import) string {
	switch {
	case i.Module == "env" && strings.HasPrefix(i.Name, "proxy_"):
		return ": it belongs to another version of the ABI. build with an SDK of ABI 0.2.x"
	case i.Module == "env":
		return ": a C function that was not linked in. build with the toolchain of make tools"
	case strings.HasPrefix(i.Module, "wasi:"):
		return ": it was built for WASI preview 2. build with -target=wasip1"
	default:
		return ": in Go it comes with packages such as os and net. use the SDK's calls instead"
	}
}
