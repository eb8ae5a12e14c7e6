package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

func lint(files []string, stdout, stderr io.Writer) error {
	var lines []string
	for _, file := range files {
		module, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		problems, err := lintModule(module)
		if err != nil {
			return cli.Finding("%s: %w", file, err)
		}
		for _, p := range problems {
			lines = append(lines, file+": "+p)
		}
		if len(problems) == 0 {
			fmt.Fprint(stdout, describe(file, module))
		}
	}
	return report(stderr, lines)
}

func lintModule(module []byte) ([]string, error) {
	m, err := wasmfile.Read(module)
	if err != nil {
		return nil, err
	}
	return wasmfile.Lint(m), nil
}

// describe is the line that build prints for a module.
func describe(file string, module []byte) string {
	return fmt.Sprintf("%s %d bytes sha256:%x\n", file, len(module), sha256.Sum256(module))
}

func report(w io.Writer, lines []string) error {
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
	if len(lines) > 0 {
		return cli.ErrFindings
	}
	return nil
}
