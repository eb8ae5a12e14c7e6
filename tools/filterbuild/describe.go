package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// describe writes module.yaml when something else stands there.
func (s source) describe(packages []string, module []byte) error {
	m, err := wasmfile.Read(module)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString("# What is true of the module that these sources build. make build writes it, make check compares it.\n")
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(catalog.Module{ABI: m.ABI, Capabilities: m.Capabilities(), Packages: packages}); err != nil {
		return err
	}
	file := filepath.Join(s.Dir, catalog.ModuleFile)
	if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, b.Bytes()) {
		return nil
	}
	return atomicfile.Write(file, b.Bytes())
}

// versions are the packages beside Go's own, each with the version of its module; those of the repository have none.
func (p *program) versions() []string {
	var all []string
	for _, pkg := range p.packages {
		if pkg.Module == nil || strings.HasPrefix(pkg.PkgPath, "vendor/") {
			continue
		}
		version := pkg.Module.Version
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s", pkg.PkgPath, version)))
	}
	slices.Sort(all)
	return all
}

// compileErrors is what TinyGo says, cut to what an author can use: the lines about the author's files, or else the first one and
// the import that led there.
func (p *program) compileErrors(output string, err error) error {
	var own, others []string
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "# "):
		case p.inOwnFile(line):
			own = append(own, line)
		default:
			others = append(others, line)
		}
	}
	var list findings
	for _, line := range own {
		list = append(list, finding{p.position(strings.Join(strings.SplitN(line, ":", 4)[:3], ":")), strings.TrimSpace(strings.SplitN(line, ":", 4)[3]) + " [tinygo]"})
	}
	if len(list) > 0 {
		return list
	}
	for _, line := range others {
		for _, pkg := range p.packages {
			if len(pkg.GoFiles) > 0 && strings.HasPrefix(line, filepath.Dir(pkg.GoFiles[0])+"/") {
				return findings{{p.importer(pkg), fmt.Sprintf("TinyGo cannot compile %q, which this brings in: %s [tinygo]", pkg.PkgPath, line)}}
			}
		}
	}
	if len(others) > 0 {
		return fmt.Errorf("tinygo: %s", strings.Join(others[:min(3, len(others))], "; "))
	}
	return fmt.Errorf("tinygo: %w", err)
}

// inOwnFile reports whether TinyGo's line is file:line:column: message about a file of the author's.
func (p *program) inOwnFile(line string) bool {
	parts := strings.SplitN(line, ":", 4)
	if len(parts) != 4 {
		return false
	}
	file := parts[0]
	if !filepath.IsAbs(file) {
		file = filepath.Join(p.dir, file)
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return false
	}
	for _, pkg := range p.packages {
		if p.own(pkg) && slices.Contains(pkg.GoFiles, abs) {
			return true
		}
	}
	return false
}
