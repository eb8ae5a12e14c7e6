package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/ssa"
)

// noImport are the packages that cannot do in a filter what they are for. What they would cost is no reason: build says that.
var noImport = map[string]string{
	"os/exec":   "a filter has no processes",
	"os/signal": "nobody sends a filter signals",
}

// noCall are the functions that fail in a filter when they are called, by package.
var noCall = map[string]map[string]string{
	"time": {
		"Sleep": wait, "After": wait, "AfterFunc": wait, "NewTimer": wait, "NewTicker": wait, "Tick": wait,
	},
	"context": {"WithTimeout": deadline, "WithDeadline": deadline, "WithTimeoutCause": deadline, "WithDeadlineCause": deadline},
	"iter":    {"Pull": coroutine, "Pull2": coroutine},
	"net": {
		"Dial": socket, "DialTimeout": socket, "DialTCP": socket, "DialUDP": socket, "DialUnix": socket, "Listen": socket, "ListenPacket": socket,
		"LookupHost": socket, "LookupIP": socket, "LookupAddr": socket,
	},
	"net/http": {
		"Get": socket, "Head": socket, "Post": socket, "PostForm": socket, "ListenAndServe": socket, "ListenAndServeTLS": socket, "Serve": socket,
	},
}

const (
	wait      = "it would block the worker and all its connections, or end the VM. use proxywasm.SetTickPeriodMilliSeconds and OnTick"
	deadline  = "there are no timers without a scheduler, so it ends the VM. give DispatchHttpCall its timeout"
	coroutine = "it needs a goroutine, and a filter is built without a scheduler. range over the sequence"
	socket    = "a filter has no sockets. use proxywasm.DispatchHttpCall"
)

// vet lists what would compile and then fail in Envoy.
func vet(p *program) findings {
	var list findings
	add := func(at token.Pos, format string, args ...any) {
		list = append(list, finding{p.at(at), fmt.Sprintf(format, args...)})
	}
	p.ownFiles(func(pkg *packages.Package, file *ast.File) {
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if why, no := noImport[path]; no {
				add(spec.Pos(), "a filter may not import %q: %s [guest-import]", path, why)
			}
			if p.host(path) {
				add(spec.Pos(), "a filter may not import %q: it is host code. what both sides need crosses as a file [guest-import]", path)
			}
		}
		vetFile(pkg, file, add)
	})
	list = append(list, p.vetStart()...)
	return list
}

// host reports whether an import path of the repository lies outside filters/.
func (p *program) host(path string) bool {
	return p.module != "" && strings.HasPrefix(path, p.module+"/") && strings.HasPrefix(p.main.PkgPath, p.module+"/filters/") &&
		!strings.HasPrefix(path, p.module+"/filters/")
}

func vetFile(pkg *packages.Package, file *ast.File, add func(token.Pos, string, ...any)) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			add(n.Pos(), "a filter may not start a goroutine: it is built without a scheduler. do the work in OnTick or a callout's answer [guest-goroutine]")
		case *ast.SelectorExpr:
			used := pkg.TypesInfo.Uses[n.Sel]
			if used == nil || used.Pkg() == nil || used.Parent() != used.Pkg().Scope() {
				break
			}
			if why, no := noCall[used.Pkg().Path()][used.Name()]; no {
				add(n.Pos(), "a filter may not use %s.%s: %s [guest-call]", used.Pkg().Name(), used.Name(), why)
			}
		case *ast.Ident:
			if b, ok := pkg.TypesInfo.Uses[n].(*types.Builtin); ok && b.Name() == "recover" {
				add(n.Pos(), "a filter may not use recover: a panic ends the VM before any deferred function runs. check before, and return errors [guest-recover]")
			}
		case *ast.FuncDecl:
			// In -buildmode=c-shared main is never called: what stands there compiles, is optimised away, and the VM traps.
			if pkg.Name == "main" && n.Name.Name == "main" && n.Recv == nil && n.Body != nil && len(n.Body.List) > 0 {
				add(n.Body.List[0].Pos(), "main() of a filter never runs, so proxywasm.SetVMContext would not be called. move its body to init() [guest-main]")
			}
		}
		return true
	})
}

// setContext are the functions of the SDKs by which a filter says that it is there.
var setContext = regexp.MustCompile(`^Set(VM|Plugin|Http|Tcp)Context$`)

// vetStart looks at what runs at start: every init() and initialised variable of the program, and what they call.
func (p *program) vetStart() findings {
	exporters := p.exporters()["proxy_on_vm_start"]
	mainFunc := p.main.Types.Scope().Lookup("main")
	if mainFunc == nil {
		return nil // TinyGo and Go's type checker say that
	}
	if len(exporters) == 0 {
		return findings{{p.at(mainFunc.Pos()), "the filter imports no proxy-wasm SDK, so Envoy cannot call it. import github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm [guest-context]"}}
	}
	var list findings
	sdk := exporters[0].Pkg
	registered := false
	var unused token.Pos
	for _, main := range p.main.Syntax {
		for _, d := range functions(main) {
			if d.Name.Name == "main" && d.Recv == nil && d.Body != nil && len(d.Body.List) > 0 {
				return nil // that finding says it all
			}
		}
	}
	started := p.started()
	for f := range started {
		if f.Pkg == sdk && setContext.MatchString(f.Name()) {
			registered = true
		}
		if pos := panics(f); pos.IsValid() && p.ownFunction(f) && strings.HasPrefix(f.Name(), "init#") {
			list = append(list, finding{p.at(pos), "init() always panics, so Envoy refuses the module. return errors from OnPluginStart instead [guest-init]"})
		}
	}
	if !registered {
		unused = mainFunc.Pos()
		p.ownFiles(func(pkg *packages.Package, file *ast.File) {
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && setContext.MatchString(s.Sel.Name) {
					unused = s.Pos()
				}
				return true
			})
		})
		list = append(list, finding{p.at(unused), "no init() of the filter leads to proxywasm.SetVMContext, so Envoy's first call would end the VM. call it in init() [guest-context]"})
	}
	return list
}

func (p *program) ownFunction(f *ssa.Function) bool {
	for _, pkg := range p.packages {
		if f.Pkg != nil && pkg.Types == f.Pkg.Pkg {
			return p.own(pkg)
		}
	}
	return false
}

// panics is where the function panics whatever happens; no position when it does not.
func panics(f *ssa.Function) token.Pos {
	if len(f.Blocks) == 0 {
		return token.NoPos
	}
	for b := f.Blocks[0]; ; b = b.Succs[0] {
		if stop, ok := b.Instrs[len(b.Instrs)-1].(*ssa.Panic); ok {
			return stop.Pos()
		}
		if len(b.Succs) != 1 || b.Succs[0].Index <= b.Index {
			return token.NoPos
		}
	}
}

func functions(file *ast.File) []*ast.FuncDecl {
	var all []*ast.FuncDecl
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			all = append(all, f)
		}
	}
	return all
}
