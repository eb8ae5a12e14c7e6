package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/istiocompat"
	"github.com/wasmfleet/wasmfleet/internal/loadcheck"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// judge decides what is wrong with modules.
type judge struct {
	envoys []string // paths of Envoys that are asked
	minors []string // Envoy minors that are not asked: the table decides
	limits wasmfile.Limits
}

// judge says what is wrong with the module, sorted by importance. What an Envoy loads it loads, whatever the lint thinks; what it
// does not load gets the lint's words, or Envoy's.
func (j judge) judge(ctx context.Context, module []byte) ([]string, error) {
	m, err := wasmfile.Read(module)
	if err != nil {
		return []string{err.Error()}, nil
	}
	problems := m.Refusals(j.minors)
	if len(j.envoys) == 0 {
		problems = append(problems, m.Doubts()...)
	}
	without := slices.DeleteFunc(m.Capabilities(), func(name string) bool { return name == "proxy_on_configure" })
	for _, envoy := range j.envoys {
		reason, err := loadcheck.Check(ctx, envoy, module, without...)
		if err != nil {
			return nil, err
		}
		if reason == "" {
			continue
		}
		words := slices.Concat(m.Refusals(istiocompat.EnvoyMinors()), m.Doubts())
		if len(words) == 0 {
			words = []string{fmt.Sprintf("%s does not load it: %s", name(envoy), reason)}
		}
		problems = append(problems, words...)
	}
	problems = append(problems, m.Policy(j.limits)...)
	return compact(problems), nil
}

// compact keeps the first of equal ones.
func compact(list []string) []string {
	var kept []string
	for _, p := range list {
		if !slices.Contains(kept, p) {
			kept = append(kept, p)
		}
	}
	return kept
}

// name is what an Envoy is called after its folder, envoy-1.39.3.
func name(path string) string {
	if dir := filepath.Base(filepath.Dir(path)); dir != "bin" {
		return dir
	}
	return "Envoy"
}

// everyEnvoy are those of all supported minors, which must be there: nothing that was not asked counts as loaded.
func (b *builder) everyEnvoy() ([]string, error) {
	var all []string
	for _, version := range istiocompat.TestedEnvoys() {
		path := filepath.Join(b.tools, "envoy-"+version, "envoy")
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("no Envoy %s in %s. run \"make envoys\"", version, b.tools)
		}
		all = append(all, path)
	}
	return all, nil
}

// pinned is the Envoy of make tools; the lint decides where there is none.
func (b *builder) pinned() []string {
	path := filepath.Join(b.tools, "bin", "envoy")
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	return []string{path}
}

// lint judges modules by every supported Envoy, or by the tables alone.
func (b *builder) lint(ctx context.Context, files []string, everyEnvoy bool, stdout, stderr io.Writer) error {
	j := judge{minors: istiocompat.EnvoyMinors(), limits: b.limits}
	if everyEnvoy {
		var err error
		if j.envoys, err = b.everyEnvoy(); err != nil {
			return err
		}
		j.minors = nil
	}
	var lines []string
	for _, file := range files {
		module, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		problems, err := j.judge(ctx, module)
		if err != nil {
			return err
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
