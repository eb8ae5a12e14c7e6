package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/ssa"
	"golang.org/x/tools/go/ssa/ssautil"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// program is everything that becomes one module, as TinyGo sees it: its standard library, its tags, every package of the build.
type program struct {
	dir      string // the repository's root
	vmstate  string // our vmstate.go, which is the SDK's here; empty when the SDK has its own
	module   string // its import path
	main     *packages.Package
	packages []*packages.Package // all of them, sorted by import path
	ssa      *ssa.Program
}

// compiler is the TinyGo that builds, with the flags it is given.
type compiler struct {
	path    string
	flags   []string
	modfile string // the go.mod to build with, from the root; empty for the repository's own
	wasmOpt string // what TinyGo runs in place of wasm-opt; empty for that
}

// environment is TinyGo's, which hands it to go.
func (c compiler) environment() []string {
	env := os.Environ()
	if c.wasmOpt != "" {
		env = append(env, "WASMOPT="+c.wasmOpt)
	}
	if c.modfile == "" {
		return env
	}
	return append(env, strings.TrimSpace("GOFLAGS="+os.Getenv("GOFLAGS")+" -modfile="+c.modfile))
}

// view is what decides which files TinyGo takes.
type view struct {
	GOROOT string   `json:"goroot"` // Go's standard library with TinyGo's replacements
	GOOS   string   `json:"goos"`
	GOARCH string   `json:"goarch"`
	Tags   []string `json:"build_tags"`

	modfile string
}

func (v view) buildFlags() []string {
	flags := []string{"-tags=" + strings.Join(v.Tags, ",")}
	if v.modfile != "" {
		flags = append(flags, "-modfile="+v.modfile)
	}
	return flags
}

func (c compiler) view(dir string) (view, error) {
	var v view
	cmd := exec.Command(c.path, slices.Concat([]string{"info", "-json"}, c.flags)...)
	cmd.Dir, cmd.Env = dir, c.environment()
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return v, fmt.Errorf("asking %s what it compiles for: %w. run \"make tools\"", c.path, err)
	}
	v.modfile = c.modfile
	return v, json.Unmarshal(out, &v)
}

// environment and flags make go list see what TinyGo sees.
func (v view) environment() []string {
	return append(os.Environ(), "GOROOT="+v.GOROOT, "GOOS="+v.GOOS, "GOARCH="+v.GOARCH, "CGO_ENABLED=1")
}

// load reads the filter's package in dir, such as ./filters/mine, and all that it imports. What Go's own type checker
// refuses in the author's files is a finding.
func load(c compiler, dir, pattern string) (*program, error) {
	v, err := c.view(dir)
	if err != nil {
		return nil, err
	}
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedDeps | packages.NeedModule |
			packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedTypesSizes,
		Dir:        dir,
		Env:        v.environment(),
		BuildFlags: v.buildFlags(),
	}, pattern)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", pattern, err)
	}
	if len(pkgs) != 1 {
		return nil, cli.Finding("loading %s: want one package of this repository, such as ./filters/mine", pattern)
	}
	p := &program{dir: dir, main: pkgs[0]}
	if c.modfile != "" {
		if p.vmstate, err = filepath.Abs(filepath.Join(dir, filepath.Dir(c.modfile), "sdk", sdkVMState)); err != nil {
			return nil, err
		}
	}
	if p.main.Module != nil {
		p.module = p.main.Module.Path
	}
	packages.Visit(pkgs, nil, func(pkg *packages.Package) { p.packages = append(p.packages, pkg) })
	slices.SortFunc(p.packages, func(a, b *packages.Package) int { return cmp.Compare(a.PkgPath, b.PkgPath) })
	if err := p.errors(pattern); err != nil {
		return nil, err
	}
	p.ssa, _ = ssautil.AllPackages(pkgs, ssa.InstantiateGenerics)
	p.ssa.Build()
	return p, nil
}

// own reports whether the package belongs to the repository, so that its author can change it.
func (p *program) own(pkg *packages.Package) bool {
	return p.module != "" && (pkg.PkgPath == p.module || strings.HasPrefix(pkg.PkgPath, p.module+"/")) || pkg == p.main
}

// errors is what keeps the program from compiling, worded for the author: what the author wrote first, and no more of the
// standard library than the line that brought it in.
func (p *program) errors(pattern string) error {
	if lacking := p.lacking(); len(lacking) > 0 {
		return lacking
	}
	var list findings
	var others []string
	for _, pkg := range p.packages {
		for _, e := range pkg.Errors {
			switch {
			case strings.Contains(e.Msg, `(invalid package name: "")`): // what the importer says of a package that is not there
			case strings.Contains(e.Msg, "cgo: "): // at no line; the next is
			case strings.Contains(e.Msg, "could not import C ("):
				list = append(list, finding{p.position(e.Pos), `a filter cannot import "C": nothing could be proven of its callbacks. put the C code, compiled, into a filter of its own as ` + catalog.Prebuilt + " [guest-import]"})
			case e.Kind == packages.ListError && len(pkg.GoFiles) == 0:
				list = append(list, finding{p.importer(pkg), absent(pkg.PkgPath, e.Msg) + " [guest-import]"})
			case p.own(pkg):
				list = append(list, finding{p.position(e.Pos), e.Msg + " [guest-compile]"})
			case pkg.IllTyped:
				others = append(others, pkg.PkgPath+": "+e.Msg)
			}
		}
	}
	switch {
	case len(list) > 0:
		return list
	case len(others) > 0:
		return cli.Finding("loading %s: %s", pattern, others[0])
	case p.main.Name != "main":
		return cli.Finding("%s is package %s. a filter is package main", pattern, p.main.Name)
	case p.main.Types == nil:
		return errors.New("loading " + pattern + ": no Go files")
	}
	return nil
}

// absent says why a package that is imported is not there, and what to do.
func absent(path, message string) string {
	if strings.Contains(message, "no required module provides") || strings.Contains(message, "cannot find module providing") {
		return fmt.Sprintf("package %q is in no module of go.mod. run \"go get %s\"", path, path)
	}
	return strings.Join(strings.Fields(message), " ")
}

// ownFiles visits the files of the author's packages.
func (p *program) ownFiles(visit func(*packages.Package, *ast.File)) {
	for _, pkg := range p.packages {
		if p.own(pkg) {
			for _, file := range pkg.Syntax {
				visit(pkg, file)
			}
		}
	}
}

// isConst reports whether the value is that constant, such as true or 0.
func isConst(v ssa.Value, want constant.Value) bool {
	c, ok := v.(*ssa.Const)
	return ok && c.Value != nil && c.Value.Kind() == want.Kind() && constant.Compare(c.Value, token.EQL, want)
}

// methods are the methods of that name that any package of the program declares, on whatever type. Every method set of a Go
// program (of unnamed structs, aliases, instances of generic types, interfaces that hold such values) is made of these.
func (p *program) methods(name string) []*types.Func {
	var all []*types.Func
	for _, pkg := range p.packages {
		for _, file := range pkg.Syntax {
			for _, d := range functions(file) {
				if o, ok := pkg.TypesInfo.Defs[d.Name].(*types.Func); ok && d.Recv != nil && d.Name.Name == name {
					all = append(all, o)
				}
			}
		}
	}
	return all
}

// relative is the file's path from the repository's root, as compilers print it.
func (p *program) relative(file string) string {
	dir, err := filepath.Abs(p.dir)
	if err != nil {
		return file
	}
	if rel, err := filepath.Rel(dir, file); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return file
}
