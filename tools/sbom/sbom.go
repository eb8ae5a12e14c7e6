// Package sbom is the verb that prints what is compiled into a filter, or into the tools.
package sbom

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/sbom"
)

// Command is the verb.
func Command() cli.Command {
	var filters, build, root string
	var tools bool
	return cli.Command{
		Name:  "sbom",
		Title: "what is compiled into a filter, or into this program, as CycloneDX",
		Args:  "FILTER|--tools",
		About: `Prints the software bill of materials of build/FILTER.wasm: the Go modules that own a package in it, with versions and licences. The
same module has the same bytes. publish --sign-key signs it and attaches it to the image. With --tools, it is of this program.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&root, "root", ".", "`folder` of go.mod")
			f.StringVar(&filters, "filters", "filters", "`folder` of the filters")
			f.StringVar(&build, "build", "build", "`folder` of the compiled modules")
			f.BoolVar(&tools, "tools", false, "of this program, in place of a filter")
		},
		Run: func(_ context.Context, args []string, stdout, _ io.Writer) error {
			if tools && len(args) == 0 {
				return program(root, stdout)
			}
			if tools || len(args) != 1 {
				return cli.Usage("want one filter, or --tools")
			}
			filter, err := catalog.Find(filters, args[0])
			if err != nil {
				return err
			}
			module, err := os.ReadFile(filepath.Join(build, filter.Name+".wasm"))
			if err != nil {
				return fmt.Errorf("%w. run \"make build FILTER=%s\"", err, filter.Name)
			}
			bom, err := sbom.Of(root, filter, module)
			if err != nil {
				return err
			}
			_, err = stdout.Write(bom)
			return err
		},
	}
}

// program prints what this program is made of, as the Go toolchain wrote it into it.
func program(root string, stdout io.Writer) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this program was built without module information. build it with make bin/wasmfleet")
	}
	file, err := os.Executable()
	if err != nil {
		return err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	bom, err := sbom.Program(root, info, content)
	if err != nil {
		return err
	}
	_, err = stdout.Write(bom)
	return err
}
