// Command instructions runs streams through a module on wazero, so that valgrind can count what a stream costs in instructions. A
// clock is too noisy to see a loss of a tenth; a count is the same on every run.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// open is how many streams are in flight at a time, as on a worker that is not idle.
const open = 8

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: instructions MODULE.wasm CONFIGURATION STREAMS")
		os.Exit(2)
	}
	streams, err := strconv.Atoi(os.Args[3])
	if err == nil {
		err = run(context.Background(), os.Args[1], os.Args[2], streams)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "instructions:", err)
		os.Exit(3)
	}
}

func run(ctx context.Context, file, configuration string, streams int) error {
	code, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	compiled, err := r.CompileModule(ctx, code)
	if err != nil {
		return err
	}
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	if err := host(ctx, r, compiled, configuration); err != nil {
		return err
	}
	module, err := r.InstantiateModule(ctx, compiled, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		return err
	}
	guest := guest{ctx, module}
	const plugin = 1
	if err := guest.call("proxy_on_context_create", plugin, 0); err != nil {
		return err
	}
	if err := guest.call("proxy_on_vm_start", plugin, 0); err != nil {
		return err
	}
	if err := guest.call("proxy_on_configure", plugin, uint64(len(configuration))); err != nil {
		return err
	}
	for id := uint64(plugin + 1); id <= plugin+uint64(streams)+open; id++ {
		if id <= plugin+uint64(streams) {
			if err := guest.call("proxy_on_context_create", id, plugin); err != nil {
				return err
			}
			for _, callback := range []string{"proxy_on_request_headers", "proxy_on_response_headers"} {
				if err := guest.call(callback, id, 10, 1); err != nil {
					return err
				}
			}
		}
		if old := id - open; old > plugin && id > plugin+open {
			for _, callback := range []string{"proxy_on_log", "proxy_on_done", "proxy_on_delete"} {
				if err := guest.call(callback, old); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

type guest struct {
	ctx    context.Context
	module api.Module
}

// call is Envoy's: a callback that the module does not export is skipped.
func (g guest) call(name string, args ...uint64) error {
	f := g.module.ExportedFunction(name)
	if f == nil {
		return nil
	}
	_, err := f.Call(g.ctx, args[:len(f.Definition().ParamTypes())]...)
	return err
}

// host gives the module what it imports: a buffer that holds the configuration, and calls that say all is well.
func host(ctx context.Context, r wazero.Runtime, compiled wazero.CompiledModule, configuration string) error {
	env := r.NewHostModuleBuilder("env")
	for _, f := range compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		if module != "env" {
			continue
		}
		work := func(context.Context, api.Module, []uint64) error { return nil }
		if name == "proxy_get_buffer_bytes" {
			work = func(ctx context.Context, m api.Module, stack []uint64) error {
				return give(ctx, m, configuration, uint32(stack[3]), uint32(stack[4]))
			}
		}
		env.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
			if err := work(ctx, m, stack); err != nil {
				panic(err)
			}
			stack[0] = 0
		}), f.ParamTypes(), f.ResultTypes()).Export(name)
	}
	_, err := env.Instantiate(ctx)
	return err
}

// give puts text into the guest's memory, and its address and size where the guest wants them.
func give(ctx context.Context, m api.Module, text string, address, size uint32) error {
	allocate := m.ExportedFunction("proxy_on_memory_allocate")
	if allocate == nil {
		allocate = m.ExportedFunction("malloc")
	}
	got, err := allocate.Call(ctx, uint64(len(text)))
	if err != nil {
		return err
	}
	memory := m.Memory()
	if !memory.Write(uint32(got[0]), []byte(text)) || !memory.WriteUint32Le(address, uint32(got[0])) || !memory.WriteUint32Le(size, uint32(len(text))) {
		return fmt.Errorf("the guest's memory has no %#x", got[0])
	}
	return nil
}
