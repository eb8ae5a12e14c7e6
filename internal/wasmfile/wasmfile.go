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
)

// MaxBytes is the largest module that is accepted: 5 MiB. Every proxy of the fleet compiles it at start.
const MaxBytes = 5 << 20

// Module is what a module says of itself.
type Module struct {
	ABI         string   // "0.2.0"; empty when it exports no proxy_abi_version_*
	Imports     []Import // in the module's order
	Exports     []string // functions, sorted
	MemoryBytes uint64   // declared at start; 0 when it exports no memory
	Size        int      // bytes
}

// Import is a function that the host must provide.
type Import struct{ Module, Name string }

var (
	magic = []byte("\x00asm")
	v1    = []byte("\x01\x00\x00\x00")
)

const pageBytes = 64 << 10

// Read validates the module with wazero and reads its sections. It fails for what is no module, truncated or over MaxBytes.
func Read(module []byte) (*Module, error) {
	switch {
	case len(module) > MaxBytes:
		return nil, fmt.Errorf("module of %d bytes is over the limit of %d", len(module), MaxBytes)
	case !bytes.HasPrefix(module, magic):
		return nil, errors.New("not a wasm module: it does not begin with \\0asm")
	case !bytes.HasPrefix(module[4:], v1):
		return nil, errors.New("not a core wasm module of version 1 (a component cannot run in Envoy)")
	}
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter())
	defer r.Close(ctx)
	compiled, err := r.CompileModule(ctx, module)
	if err != nil {
		return nil, fmt.Errorf("truncated or invalid wasm module: %w", err)
	}
	m := &Module{Size: len(module)}
	for _, f := range compiled.ImportedFunctions() {
		mod, name, _ := f.Import()
		m.Imports = append(m.Imports, Import{mod, name})
	}
	for name := range compiled.ExportedFunctions() {
		m.Exports = append(m.Exports, name)
		if abi, ok := strings.CutPrefix(name, "proxy_abi_version_"); ok {
			m.ABI = strings.ReplaceAll(abi, "_", ".")
		}
	}
	slices.Sort(m.Exports)
	var memory api.MemoryDefinition
	for _, memory = range compiled.ExportedMemories() {
		m.MemoryBytes = uint64(memory.Min()) * pageBytes
	}
	return m, nil
}

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
		names = append(names, i.Name)
	}
	for _, e := range m.Exports {
		if strings.HasPrefix(e, "proxy_on_") && e != "proxy_on_memory_allocate" {
			names = append(names, e)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
