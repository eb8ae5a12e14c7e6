// Package sbom is the verb that prints what is compiled into a filter.
package sbom

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/sbom"
)

// Command is the verb.
func Command() cli.Command {
	var filters, build, root string
	return cli.Command{
		Name:  "sbom",
		Title: "what is compiled into a filter, as CycloneDX",
		Args:  "FILTER",
		About: `Prints the software bill of materials of build/FILTER.wasm: the Go modules that own a package in it, with versions and licences. The
same module has the same bytes. publish --sign-key signs it and attaches it to the image.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&root, "root", ".", "`folder` of go.mod")
			f.StringVar(&filters, "filters", "filters", "`folder` of the filters")
			f.StringVar(&build, "build", "build", "`folder` of the compiled modules")
		},
		Run: func(_ context.Context, args []string, stdout, _ io.Writer) error {
			if len(args) != 1 {
				return cli.Usage("want one filter")
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
