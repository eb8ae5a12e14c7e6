// Package wasmfile reads a compiled module, as publish and the build need it: its ABI, imports, exports and memory.
package wasmfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/wasmfleet/wasmfleet/internal/istiocompat"
)

// MaxBytes is the largest module that is accepted by default: 5 MiB. Every proxy of the fleet compiles it at start.
const MaxBytes = 5 << 20

// Module is what a module says of itself.
type Module struct {
	ABI         string   // "0.2.0", the first that it exports; empty when it exports no proxy_abi_version_*
	Imports     []Import // in the module's order
	Exports     []string // functions, sorted
	MemoryBytes uint64   // declared at start; 0 when it exports no memory
	Size        int      // bytes
	Invalid     error    // why wazero does not compile it; Envoy may, which knows more features

	bytes      []byte
	signatures map[string]string // of the exported functions
	functions  map[int]string    // names of the exported functions, by index; nil when nobody asks
}

// Import is what the host must provide: a function of that signature, such as "i32 i32 -> i32", unless it is of another kind.
type Import struct{ Module, Name, Signature, Kind string }

var (
	magic = []byte("\x00asm")
	v1    = []byte("\x01\x00\x00\x00")
)

const pageBytes = 64 << 10

// Read reads the module's sections and has wazero validate the rest. It fails for what is no module, or truncated.
func Read(module []byte) (*Module, error) {
	switch {
	case !bytes.HasPrefix(module, magic):
		return nil, errors.New("not a wasm module: it does not begin with \\0asm")
	case !bytes.HasPrefix(module[4:], v1):
		return nil, errors.New("not a core wasm module of version 1 (a component cannot run in Envoy)")
	}
	m := &Module{Size: len(module), bytes: module, signatures: map[string]string{}}
	if err := m.sections(module); err != nil {
		return nil, err
	}
	for _, name := range m.Exports {
		// Envoy takes the first that it knows.
		if abi, ok := strings.CutPrefix(name, "proxy_abi_version_"); ok && (m.ABI == "" || len(istiocompat.ABIs(m.ABI)) == 0) {
			m.ABI = strings.ReplaceAll(abi, "_", ".")
		}
	}
	slices.Sort(m.Exports)
	if m.Size <= maxValidated {
		ctx := context.Background()
		r := wazero.NewRuntimeWithConfig(ctx, config)
		defer r.Close(ctx)
		if _, err := r.CompileModule(ctx, module); err != nil {
			m.Invalid = fmt.Errorf("truncated or invalid wasm module: %w", err)
		}
	}
	return m, nil
}

// maxValidated is the largest module that wazero looks at: what is larger takes minutes and memory, and Envoy has the last word.
const maxValidated = 32 << 20

var config = wazero.NewRuntimeConfigInterpreter().
	WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesThreads | experimental.CoreFeaturesTailCall).
	WithCloseOnContextDone(true)

// Has reports whether the module exports a function of that name.
func (m *Module) Has(export string) bool {
	_, ok := slices.BinarySearch(m.Exports, export)
	return ok
}

// Capabilities are the names that Envoy's capability_restriction_config must allow for the module to work as it does without:
// the calls it imports and the callbacks it exports (proxy-wasm-cpp-host, src/wasm.cc). Allocation and _initialize need none.
func (m *Module) Capabilities() []string {
	var names []string
	for _, i := range m.Imports {
		if i.Kind == "" {
			names = append(names, i.Name)
		}
	}
	for _, e := range m.Exports {
		if strings.HasPrefix(e, "proxy_on_") && e != "proxy_on_memory_allocate" {
			names = append(names, e)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
