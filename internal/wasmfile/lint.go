package wasmfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/istiocompat"
)

// MaxMemoryBytes is the largest memory that a module may ask for at start by default: 16 MiB, for every worker of every proxy.
const MaxMemoryBytes = 16 << 20

// Limits are what is refused on purpose, though Envoy would load it.
type Limits struct {
	Bytes       int
	MemoryBytes uint64
	NoCallback  bool // allows a module that does nothing
}

// Lint lists what an Envoy of a supported Istio, or the next, would refuse in the module, and what would hurt it there. Each
// finding ends with the remedy.
func Lint(m *Module) []string { return LintFor(m, "", 0) }

// LintFor is Lint for a filter that is for Istio minors such as ">=1.29" and may have more bytes than others: its own bound.
func LintFor(m *Module, istio string, bytes int) []string {
	limits := Limits{Bytes: max(MaxBytes, bytes), MemoryBytes: MaxMemoryBytes}
	return slices.Concat(m.Refusals(istiocompat.EnvoysFrom(istio)), m.Doubts(), m.Policy(limits))
}

// Doubts are the words for what no table holds: features, and how the start ends. An Envoy that loads the module has answered them.
func (m *Module) Doubts() []string {
	if m.Invalid != nil {
		return []string{fmt.Sprintf("%v. build it for the features that Envoy has", m.Invalid)}
	}
	if why := m.start(); why != "" {
		return []string{"its start " + why + ", and Envoy refuses the module then. in TinyGo build a library: -buildmode=c-shared"}
	}
	return nil
}

// Refusals are the words for what Envoys of these minors do not give to the module, or not as it wants it.
func (m *Module) Refusals(envoys []string) []string {
	var findings []string
	add := func(format string, args ...any) { findings = append(findings, fmt.Sprintf(format, args...)) }
	switch loads := istiocompat.ABIs(m.ABI); {
	case m.ABI == "":
		add("no export proxy_abi_version_*: not a proxy-wasm module, or the SDK was not linked in. import the proxy-wasm SDK")
		return findings
	case len(loads) == 0:
		add("proxy-wasm ABI %s: no Envoy knows it. build with an SDK of ABI 0.2.x", m.ABI)
		return findings
	}
	for _, i := range m.Imports {
		if i.Kind == "table" || i.Kind == "memory" {
			continue // Envoy makes them
		}
		if i.Kind != "" {
			add("import %s.%s is a %s, which Envoy does not give. define it in the module", i.Module, i.Name, i.Kind)
			continue
		}
		missing, wrong := against(envoys, i.Signature, func(envoy string) (istiocompat.Function, bool) {
			return istiocompat.Import(i.Module, i.Name, m.ABI, envoy)
		})
		switch {
		case len(missing) > 0 && len(missing) == len(envoys):
			add("import %s.%s is not provided by Envoy%s", i.Module, i.Name, cause(i))
		case len(missing) > 0:
			add("import %s.%s is not provided by Envoy %s%s", i.Module, i.Name, strings.Join(missing, ", "), cause(i))
		}
		if wrong != "" {
			add("import %s.%s has the signature (%s), Envoy's has (%s). build with an SDK of the ABI that the module exports, %s", i.Module, i.Name, i.Signature, wrong, m.ABI)
		}
	}
	for _, name := range m.Exports {
		_, wrong := against(envoys, m.signatures[name], func(envoy string) (istiocompat.Function, bool) {
			return istiocompat.Export(name, m.ABI, envoy)
		})
		if wrong != "" {
			add("export %s has the signature (%s), Envoy calls (%s) of ABI %s. build with an SDK of that ABI", name, m.signatures[name], wrong, m.ABI)
		}
	}
	if !m.Has("proxy_on_memory_allocate") && !m.Has("malloc") {
		add("exports neither proxy_on_memory_allocate nor malloc: Envoy cannot hand it any data. build with the proxy-wasm SDK")
	}
	return findings
}

// against are the minors that lack a function, and the signature of one that has it with another.
func against(envoys []string, signature string, look func(envoy string) (istiocompat.Function, bool)) (missing []string, wrong string) {
	for _, envoy := range envoys {
		f, ok := look(envoy)
		switch {
		case !ok:
			missing = append(missing, envoy)
		case f.Signature != signature:
			wrong = f.Signature
		}
	}
	return missing, wrong
}

// Policy is what Envoy would load and we refuse on purpose: what would do nothing, leak, or cost every proxy too much.
func (m *Module) Policy(limits Limits) []string {
	var findings []string
	add := func(format string, args ...any) { findings = append(findings, fmt.Sprintf(format, args...)) }
	if m.Size > limits.Bytes {
		add("module of %d bytes is over the limit of %d: every proxy of the fleet compiles it at start. make it smaller, or set size in plugin.yaml", m.Size, limits.Bytes)
	}
	if m.MemoryBytes > limits.MemoryBytes {
		add("declares %d bytes of memory at start, the limit is %d: every worker of every proxy pays it. shrink the static data, or raise --max-memory", m.MemoryBytes, limits.MemoryBytes)
	}
	// All four are exported by TinyGo only. A C program may well free what it gets.
	if m.Has("proxy_on_memory_allocate") && m.Has("malloc") && m.Has("free") && m.Has("calloc") && m.Has("realloc") {
		add("exports malloc beside proxy_on_memory_allocate: Envoy takes malloc, whose memory TinyGo never frees. drop the export, as make build does")
	}
	if m.MemoryBytes == 0 {
		add("exports no memory. build with the proxy-wasm SDK")
	}
	if m.ABI != "" && !limits.NoCallback && !slices.ContainsFunc(callbacks, m.Has) {
		add("exports no callback for requests, connections, ticks or queues: it would do nothing. override one, or allow it with --allow no-callback")
	}
	return findings
}

// callbacks are those by which a filter does something: to what passes, or by itself.
var callbacks = []string{
	"proxy_on_request_headers", "proxy_on_request_body", "proxy_on_request_trailers", "proxy_on_request_metadata",
	"proxy_on_response_headers", "proxy_on_response_body", "proxy_on_response_trailers", "proxy_on_response_metadata",
	"proxy_on_new_connection", "proxy_on_downstream_data", "proxy_on_downstream_connection_close", "proxy_on_upstream_data",
	"proxy_on_upstream_connection_close", "proxy_on_log", "proxy_on_tick", "proxy_on_queue_ready",
}

// cause is the usual reason why a module has an import that Envoy lacks.
func cause(i Import) string {
	switch {
	case i.Module == "env" && strings.HasPrefix(i.Name, "proxy_"):
		return ": it belongs to another version of the ABI. build with an SDK of ABI 0.2.x"
	case i.Module == "env" && i.Name == "abort":
		return ": AssemblyScript calls it. compile with --use abort=abort_proc_exit"
	case i.Module == "env":
		return ": a C function that was not linked in. build with the toolchain of make tools"
	case strings.HasPrefix(i.Module, "wasi:"):
		return ": it was built for WASI preview 2. build with -target=wasip1"
	default:
		return ": in Go it comes with packages such as os and net. use the SDK's calls instead"
	}
}
