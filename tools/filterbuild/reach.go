package main

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"

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
	sites := mentions(rta.Analyze(roots, true))
	var list findings
	for f := range sites {
		if p.ownFunction(f) || !starts(f) {
			continue
		}
		if at := p.ownSite(f, sites); at.IsValid() {
			list = append(list, finding{p.at(at),
				"this leads to " + f.String() + ", which starts a goroutine: a filter is built without a scheduler. do the work in OnTick or a callout's answer [guest-goroutine]"})
		}
	}
	return list
}

// site is where a function is called, or mentioned: what the runtime calls by a linkname is only mentioned.
type site struct {
	by *ssa.Function
	at token.Pos
}

func mentions(r *rta.Result) map[*ssa.Function][]site {
	all := map[*ssa.Function][]site{}
	for f, node := range r.CallGraph.Nodes {
		for _, e := range node.Out {
			all[e.Callee.Func] = append(all[e.Callee.Func], site{f, e.Pos()})
		}
		if f == nil {
			continue
		}
		for _, b := range f.Blocks {
			for _, i := range b.Instrs {
				for _, operand := range i.Operands(nil) {
					if g, ok := (*operand).(*ssa.Function); ok {
						all[g] = append(all[g], site{f, i.Pos()})
					}
				}
			}
		}
	}
	return all
}

func starts(f *ssa.Function) bool {
	for _, b := range f.Blocks {
		if slices.ContainsFunc(b.Instrs, func(i ssa.Instruction) bool { _, ok := i.(*ssa.Go); return ok }) {
			return true
		}
	}
	return false
}

// ownSite is the nearest line by which the author's code comes to the function; of several as near, the first.
func (p *program) ownSite(to *ssa.Function, sites map[*ssa.Function][]site) token.Pos {
	seen := map[*ssa.Function]bool{to: true}
	for near := []*ssa.Function{to}; len(near) > 0; {
		var next []*ssa.Function
		var own []token.Pos
		for _, f := range near {
			for _, s := range sites[f] {
				switch {
				case s.by == nil || seen[s.by]:
				case p.ownFunction(s.by) && s.at.IsValid():
					own = append(own, s.at)
				default:
					seen[s.by] = true
					next = append(next, s.by)
				}
			}
		}
		if len(own) > 0 {
			return slices.Min(own)
		}
		near = next
	}
	return token.NoPos
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
