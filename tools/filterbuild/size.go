package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// codeSizes are the bytes of code by package, as the names of a module that was not stripped say. C and the runtime are "".
func codeSizes(module []byte) map[string]int {
	var imported, defined int
	var bodies []int
	names := map[int]string{}
	for rest := module[8:]; len(rest) > 0; {
		id := rest[0]
		size, n := binary.Uvarint(rest[1:])
		body := rest[1+n:][:size]
		rest = rest[1+n+int(size):]
		switch {
		case id == 2:
			imported = importedFunctions(body)
		case id == 10:
			count, n := binary.Uvarint(body)
			defined = int(count)
			for body = body[n:]; len(bodies) < defined; {
				size, n := binary.Uvarint(body)
				bodies = append(bodies, n+int(size))
				body = body[n+int(size):]
			}
		case id == customSection && strings.HasPrefix(string(body), "\x04name"):
			names = functionNames(body[5:])
		}
	}
	sizes := map[string]int{}
	for i, size := range bodies {
		sizes[packageOf(names[imported+i])] += size
	}
	return sizes
}

// importedFunctions counts them: they come first in the index of functions.
func importedFunctions(section []byte) (functions int) {
	count, n := binary.Uvarint(section)
	rest := section[n:]
	for range count {
		for range 2 {
			size, n := binary.Uvarint(rest)
			rest = rest[n+int(size):]
		}
		if rest[0] != 0 {
			return functions // TinyGo's modules import nothing but functions
		}
		functions++
		_, n := binary.Uvarint(rest[1:])
		rest = rest[1+n:]
	}
	return functions
}

func functionNames(section []byte) map[int]string {
	names := map[int]string{}
	for len(section) > 0 {
		id := section[0]
		size, n := binary.Uvarint(section[1:])
		body := section[1+n:][:size]
		section = section[1+n+int(size):]
		if id != 1 {
			continue
		}
		count, n := binary.Uvarint(body)
		body = body[n:]
		for range count {
			index, n := binary.Uvarint(body)
			size, m := binary.Uvarint(body[n:])
			names[int(index)] = string(body[n+m:][:size])
			body = body[n+m+int(size):]
		}
	}
	return names
}

// packageOf is the import path in TinyGo's name of a function, such as (*encoding/json.Decoder).Decode; "" when it is none of Go's.
func packageOf(function string) string {
	name := strings.TrimLeft(function, "(*")
	if strings.HasPrefix(name, "interface:") || strings.HasPrefix(name, "struct:") {
		return ""
	}
	// The arguments of a generic type have dots and slashes of their own.
	name, _, _ = strings.Cut(name, "[")
	slash := strings.LastIndex(name, "/") + 1
	dot := strings.Index(name[slash:], ".")
	if dot < 0 {
		return ""
	}
	return name[:slash+dot]
}

// costs are what each of the author's imports brings into the module that nothing else brings, largest first, when it is worth a
// word: "fmt 23 kB".
func (p *program) costs(sizes map[string]int) []string {
	const worth = 4000
	type cost struct {
		path  string
		bytes int
	}
	var all []cost
	with := p.reached("")
	for path := range p.ownImports() {
		without := p.reached(path)
		bytes := 0
		for pkg := range with {
			if !without[pkg] {
				bytes += sizes[pkg]
			}
		}
		if bytes >= worth {
			all = append(all, cost{path, bytes})
		}
	}
	slices.SortFunc(all, func(a, b cost) int { return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.path, b.path)) })
	var words []string
	for _, c := range all {
		words = append(words, c.path+" "+kilobytes(c.bytes))
	}
	return words
}

func kilobytes(bytes int) string { return strconv.Itoa((bytes+500)/1000) + " kB" }

// ownImports are the packages of others that the author's import, by import path.
func (p *program) ownImports() map[string]*packages.Package {
	all := map[string]*packages.Package{}
	for _, pkg := range p.packages {
		if p.own(pkg) {
			for _, i := range pkg.Imports {
				if !p.own(i) {
					all[i.PkgPath] = i
				}
			}
		}
	}
	return all
}

// reached are the packages that the author's code would come to if it did not import one of them.
func (p *program) reached(without string) map[string]bool {
	seen := map[string]bool{}
	var visit func(*packages.Package)
	visit = func(pkg *packages.Package) {
		if seen[pkg.PkgPath] {
			return
		}
		seen[pkg.PkgPath] = true
		for _, i := range pkg.Imports {
			visit(i)
		}
	}
	for _, pkg := range p.packages {
		if p.own(pkg) {
			seen[pkg.PkgPath] = true
		}
	}
	for path, pkg := range p.ownImports() {
		if path != without {
			visit(pkg)
		}
	}
	return seen
}

// forbidden are findings for the packages that plugin.yaml forbids and of which something is in the module.
func (p *program) forbidden(file string, forbid []string, sizes map[string]int) findings {
	var list findings
	for _, path := range forbid {
		if sizes[path] == 0 {
			continue
		}
		at := position{p.relative(file), 1, 1}
		for _, pkg := range p.packages {
			if pkg.PkgPath == path {
				if by := p.importer(pkg); by.file != "" {
					at = by
				}
			}
		}
		list = append(list, finding{at, fmt.Sprintf("plugin.yaml forbids %q, and this brings %d bytes of it into the module. do without, or take it out of forbid [guest-forbid]", path, sizes[path])})
	}
	return list
}

// biggest is for the message of a module that is over its bound.
func biggest(sizes map[string]int) string {
	if len(sizes) == 0 {
		return ""
	}
	names := slices.SortedFunc(maps.Keys(sizes), func(a, b string) int { return cmp.Or(cmp.Compare(sizes[b], sizes[a]), cmp.Compare(a, b)) })
	var words []string
	for _, name := range names[:min(3, len(names))] {
		words = append(words, cmp.Or(name, "C and runtime")+" "+kilobytes(sizes[name]))
	}
	return ". most of its code, before wasm-opt: " + strings.Join(words, ", ")
}
