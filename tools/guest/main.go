// Command guest is the host's side of building a filter: it checks the source, trims the module's exports and lints the module.
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

func main() { os.Exit(command.Main(os.Args[1:], os.Stdout, os.Stderr)) }

var command = cli.Command{
	Name: "guest",
	Args: "vet PACKAGE | prune PACKAGE IN.wasm OUT.wasm | lint MODULE.wasm…",
	About: `vet refuses sources that compile but fail or bloat in Envoy. prune drops the exports of callbacks that the filter leaves to
the SDK: the host skips a missing callback, which saves a third of the cost of a request. lint refuses what Envoy would refuse and
prints size and sha256 of what it accepts. "make build" calls all three.`,
	Run: run,
}

func run(_ context.Context, args []string, stdout, stderr io.Writer) error {
	switch {
	case len(args) == 2 && args[0] == "vet":
		filter, err := load(args[1])
		if err != nil {
			return err
		}
		return report(stderr, vet(filter))
	case len(args) == 4 && args[0] == "prune":
		filter, err := load(args[1])
		if err != nil {
			return err
		}
		return prune(filter, args[2], args[3])
	case len(args) >= 2 && args[0] == "lint":
		return lint(args[1:], stdout, stderr)
	}
	return cli.Usage("want vet PACKAGE, prune PACKAGE IN OUT or lint MODULE")
}

func lint(files []string, stdout, stderr io.Writer) error {
	var findings []string
	for _, file := range files {
		module, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		m, err := wasmfile.Read(module)
		if err != nil {
			return cli.Finding("%s: %w", file, err)
		}
		problems := wasmfile.Lint(m)
		for _, p := range problems {
			findings = append(findings, file+": "+p)
		}
		if len(problems) == 0 {
			fmt.Fprintf(stdout, "%s %d bytes sha256:%x\n", file, len(module), sha256.Sum256(module))
		}
	}
	return report(stderr, findings)
}

func report(w io.Writer, findings []string) error {
	for _, f := range findings {
		fmt.Fprintln(w, f)
	}
	if len(findings) > 0 {
		return cli.ErrFindings
	}
	return nil
}
