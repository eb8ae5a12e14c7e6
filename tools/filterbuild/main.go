// Command filterbuild is what "make build" runs: from the Go sources of a filter to a module that Envoy takes.
package main

import (
	"context"
	"flag"
	"io"
	"os"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

func main() { os.Exit(command().Main(os.Args[1:], os.Stdout, os.Stderr)) }

func command() cli.Command {
	b := builder{limits: wasmfile.Limits{Bytes: wasmfile.MaxBytes, MemoryBytes: wasmfile.MaxMemoryBytes}}
	var everyEnvoy bool
	var allow string
	return cli.Command{
		Name: "filterbuild",
		Args: "build FILTER… | dev FILTER | stale FILTER… | vet FILTER… | lint MODULE.wasm…",
		About: `build makes build/<filter>.wasm of filters/<filter>, when something that it is made of has changed: it vets the sources,
runs TinyGo, drops the exports of callbacks that the whole program leaves to the SDK, runs wasm-opt, lints the module and writes
filters/<filter>/module.yaml. What TinyGo made stays in build/<filter>.raw, names and all exports included. It prints file, size
and sha256 of each module.
dev makes build/dev/<filter>.wasm, with names, lines and the texts of panics, for wasmfleet dev; it is never published.
stale names the filters whose module is not what their sources build. vet is build's check of the sources alone. lint is that of the
module, by tables of what the Envoys of all supported Istios give to a module, or with --every-envoy by these Envoys themselves.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&b.root, "root", ".", "the `folder` with filters/ and build/")
			f.StringVar(&b.tools, "tools", ".tools", "the `folder` of the toolchain that make tools brought")
			f.BoolVar(&b.stockSDK, "stock-sdk", false, "build with the maps of contexts that the SDK has, not with the table of filterbuild")
			f.BoolVar(&everyEnvoy, "every-envoy", false, "lint asks the Envoy of every supported Istio, which make envoys brought")
			f.IntVar(&b.limits.Bytes, "max-size", b.limits.Bytes, "the largest module in `bytes`")
			f.Uint64Var(&b.limits.MemoryBytes, "max-memory", b.limits.MemoryBytes, "the largest memory at start in `bytes`")
			f.StringVar(&allow, "allow", "", "no-callback: a module that does nothing")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) < 2 {
				return cli.Usage("want build, dev, stale, vet or lint, and what")
			}
			if allow != "" && allow != "no-callback" {
				return cli.Usage("--allow %q: want no-callback", allow)
			}
			b.limits.NoCallback = allow != ""
			verb, names := args[0], args[1:]
			if verb == "lint" {
				return b.lint(ctx, names, everyEnvoy, stdout, stderr)
			}
			if err := b.open(stderr); err != nil {
				return err
			}
			switch verb {
			case "build":
				return b.build(ctx, names, stdout)
			case "dev":
				return b.dev(ctx, names, stdout)
			case "stale":
				return b.stale(names, stdout)
			case "vet":
				return b.vet(names)
			}
			return cli.Usage("%q: want build, dev, stale, vet or lint", verb)
		},
	}
}
