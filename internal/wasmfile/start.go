package wasmfile

import (
	"context"
	"errors"
	"fmt"
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
	functions := []string{"_start"}
	if m.Has("_initialize") {
		functions = []string{"_initialize"}
	}
	_, err = r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithStartFunctions(functions...))
	var exit *sys.ExitError
	switch {
	case err == nil || ctx.Err() != nil:
		return ""
	case errors.As(err, &exit):
		return fmt.Sprintf("calls proc_exit(%d)", exit.ExitCode())
	default:
		return "traps"
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
