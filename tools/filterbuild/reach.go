package main

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/callgraph"
	"golang.org/x/tools/go/callgraph/rta"
	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/go/ssa"
)

// started are the functions that may run while the module starts: what the initialisation of main and of its imports reaches.
func (p *program) started() map[*ssa.Function]bool {
	all := map[*ssa.Function]bool{}
	for f := range rta.Analyze([]*ssa.Function{p.ssa.Package(p.main.Types).Func("init")}, false).Reachable {
		all[f] = true
	}
	return all
}

// goroutines are the author's lines from which the program comes to a go statement of somebody else's package. TinyGo refuses
// those that are left after optimisation, without a line; this finds it.
func (p *program) goroutines() findings {
	roots := []*ssa.Function{p.ssa.Package(p.main.Types).Func("init")}
	for _, exported := range p.exporters() {
		roots = append(roots, exported...)
	}
	graph := rta.Analyze(roots, true).CallGraph
	var list findings
	for f, node := range graph.Nodes {
		if f == nil || p.ownFunction(f) || !starts(f) {
			continue
		}
		if edge := p.ownCaller(node); edge != nil {
			list = append(list, finding{p.at(edge.Pos()),
				"this leads to " + f.String() + ", which starts a goroutine: a filter is built without a scheduler. do the work in OnTick or a callout's answer [guest-goroutine]"})
		}
	}
	return list
}

func starts(f *ssa.Function) bool {
	for _, b := range f.Blocks {
		if slices.ContainsFunc(b.Instrs, func(i ssa.Instruction) bool { _, ok := i.(*ssa.Go); return ok }) {
			return true
		}
	}
	return false
}

// ownCaller is the nearest call by which the author's code comes to the function.
func (p *program) ownCaller(to *callgraph.Node) *callgraph.Edge {
	seen := map[*callgraph.Node]bool{to: true}
	todo := []*callgraph.Node{to}
	for len(todo) > 0 {
		n := todo[0]
		todo = todo[1:]
		for _, e := range n.In {
			if e.Caller.Func != nil && p.ownFunction(e.Caller.Func) && e.Pos().IsValid() {
				return e
			}
			if !seen[e.Caller] {
				seen[e.Caller] = true
				todo = append(todo, e.Caller)
			}
		}
	}
	return nil
}

// importer is the author's line that brings the package in.
func (p *program) importer(pkg *packages.Package) position {
	var at position
	p.ownFiles(func(from *packages.Package, file *ast.File) {
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			if i := from.Imports[path]; at.file == "" && i != nil && reaches(i, pkg, map[*packages.Package]bool{}) {
				at = p.at(spec.Pos())
			}
		}
	})
	return at
}

func reaches(from, to *packages.Package, seen map[*packages.Package]bool) bool {
	if from == to {
		return true
	}
	if seen[from] {
		return false
	}
	seen[from] = true
	for _, i := range from.Imports {
		if reaches(i, to, seen) {
			return true
		}
	}
	return false
}

// lacking are the author's imports that need TinyGo's own package net where it is not there: the Go module of TinyGo does not
// hold it, and Go's cannot be compiled for Wasm by TinyGo.
func (p *program) lacking() findings {
	var absent []*packages.Package
	for _, pkg := range p.packages {
		ofTinyGo := slices.ContainsFunc(pkg.GoFiles, func(f string) bool { return strings.HasSuffix(f, "/net/netdev.go") })
		if pkg.PkgPath == "net" && !ofTinyGo || pkg.PkgPath == "net/http" && len(pkg.GoFiles) == 0 {
			absent = append(absent, pkg)
		}
	}
	var list findings
	p.ownFiles(func(pkg *packages.Package, file *ast.File) {
		for _, spec := range file.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			i := pkg.Imports[path]
			if i == nil || p.own(i) {
				continue
			}
			for _, net := range absent {
				if !reaches(i, net, map[*packages.Package]bool{}) {
					continue
				}
				because := ""
				if path != net.PkgPath {
					because = "it needs " + net.PkgPath + ", and "
				}
				list = append(list, finding{p.at(spec.Pos()), "a filter cannot import " + strconv.Quote(path) + " here: " + because +
					"this TinyGo was built without its package net. take the few lines that you need into the filter, or build with TinyGo's own release: make build TINYGO=/path/to/tinygo [guest-import]"})
				break
			}
		}
	})
	return list
}
