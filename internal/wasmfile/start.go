package wasmfile

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// startTime is what a start may take here; what takes longer is not judged.
const startTime = 3 * time.Second

// start runs what Envoy runs when it loads the module, in an interpreter whose host calls do nothing, and says how that ended when
// it was not well. What cannot be run here is not judged.
func (m *Module) start() string {
	if m.Invalid != nil || m.Size > maxValidated {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	r := wazero.NewRuntimeWithConfig(ctx, config.WithMemoryLimitPages(MaxMemoryBytes/pageBytes*4))
	defer r.Close(context.Background())
	compiled, err := r.CompileModule(ctx, m.bytes)
	if err != nil || !host(ctx, r, compiled) {
		return ""
	}
	instance, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithStartFunctions())
	if err != nil {
		return m.ended(ctx, err)
	}
	functions := []string{"_initialize", "main"}
	if !m.Has("_initialize") {
		functions = []string{"_start"}
	}
	for _, name := range functions {
		f := instance.ExportedFunction(name)
		if f == nil {
			continue
		}
		if _, err := f.Call(ctx, make([]uint64, len(f.Definition().ParamTypes()))...); err != nil {
			return m.ended(ctx, err)
		}
	}
	return ""
}

// ended says how a start ended that did not end well. What wazero refuses by itself, such as an import, is said elsewhere.
func (m *Module) ended(ctx context.Context, err error) string {
	var exit *sys.ExitError
	switch {
	case ctx.Err() != nil:
		return ""
	case errors.As(err, &exit):
		return fmt.Sprintf("calls proc_exit(%d)", exit.ExitCode())
	case strings.Contains(err.Error(), "wasm error:"):
		return "traps"
	case strings.Contains(err.Error(), "out of bounds"):
		return "writes data outside its memory"
	default:
		return ""
	}
}

// host gives the module what it imports: WASI as it is, and calls of proxy-wasm that do nothing and say that all is well.
func host(ctx context.Context, r wazero.Runtime, compiled wazero.CompiledModule) bool {
	builders := map[string]wazero.HostModuleBuilder{}
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		if module == wasi_snapshot_preview1.ModuleName {
			continue
		}
		if builders[module] == nil {
			builders[module] = r.NewHostModuleBuilder(module)
		}
		nothing := api.GoFunc(func(_ context.Context, stack []uint64) { clear(stack) })
		builders[module].NewFunctionBuilder().WithGoFunction(nothing, f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	for _, b := range builders {
		if _, err := b.Instantiate(ctx); err != nil {
			return false
		}
	}
	_, err := wasi_snapshot_preview1.Instantiate(ctx, r)
	return err == nil
}
