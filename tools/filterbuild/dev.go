package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// devFlags are tinygoFlags but for the panic: its text and the names and lines of the functions stay in the module, so that a trap
// can be said with its place.
var devFlags = append(tinygoFlags[:len(tinygoFlags)-1:len(tinygoFlags)-1], "-panic=print")

// keepLines stands in for wasm-opt, which TinyGo always runs: it folds the ends of functions together, after which a panic has the line of
// another one. It also takes as long as all the rest may.
const keepLines = `#!/bin/sh
case "$1" in
--version) exec wasm-opt --version ;;
*) cp "$3" "$5" ;; # level -g in --output out
esac
`

// dev makes build/dev/<filter>.wasm and prints its path: a module to look into, soon there and never published. The sources are vetted
// while TinyGo compiles them. Nothing else is written, and a module from before stays until there is a new one.
func (b *builder) dev(ctx context.Context, names []string, stdout io.Writer) error {
	if len(names) != 1 {
		return cli.Usage("dev: want one filter")
	}
	f, err := catalog.Find(filepath.Join(b.root, "filters"), names[0])
	if err != nil {
		return err
	}
	s := source{Filter: f, pattern: "./filters/" + f.Name}
	if _, err := os.Stat(s.prebuilt()); err == nil {
		fmt.Fprintln(stdout, s.prebuilt())
		return nil
	}
	dir := filepath.Join(b.root, "build", "dev")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	module := filepath.Join(dir, f.Name+".wasm")
	next := module + ".next"
	defer os.Remove(next)
	b.compiler.flags = devFlags
	if b.compiler.wasmOpt, err = filepath.Abs(filepath.Join(dir, "wasm-opt")); err != nil {
		return err
	}
	if err := os.WriteFile(b.compiler.wasmOpt, []byte(keepLines), 0o755); err != nil {
		return err
	}

	var p *program
	var problems findings
	var loading errgroup.Group
	loading.Go(func() (err error) {
		if p, err = load(b.compiler, b.root, s.pattern); err == nil {
			problems = vet(p)
		}
		return err
	})
	said, failed := b.tinygo(ctx, s, next)
	if err := loading.Wait(); err != nil && !errors.As(err, &problems) {
		return err
	}
	if len(problems) == 0 && failed != nil {
		if err := p.refused(said, failed); !errors.As(err, &problems) {
			return fmt.Errorf("building %s: %w", f.Name, err)
		}
	}
	if len(problems) > 0 {
		b.say(problems.lines()...)
		return cli.ErrFindings
	}
	if err := os.Rename(next, module); err != nil {
		return err
	}
	fmt.Fprintln(stdout, module)
	return nil
}
