package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/tools/go/packages"
)

// sdk is the import path of the SDK's hostcalls; its contexts are in sdk + "/types".
const sdk = "github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"

// filter is the typed source of one filter: its own package and those of the repository that it imports.
type filter struct {
	module   string // import path of the repository
	packages []*packages.Package
}

// load reads the files that TinyGo would take.
func load(pattern string) (*filter, error) {
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedSyntax | packages.NeedDeps |
			packages.NeedImports | packages.NeedModule,
		Env:        append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm"),
		BuildFlags: []string{"-tags=tinygo,tinygo.wasm"},
	}, pattern)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", pattern, err)
	}
	if len(pkgs) != 1 || pkgs[0].Module == nil {
		return nil, fmt.Errorf("loading %s: want one package of this repository, such as ./filters/addheader", pattern)
	}
	for _, e := range pkgs[0].Errors {
		return nil, fmt.Errorf("loading %s: %w", pattern, e)
	}
	f := &filter{module: pkgs[0].Module.Path}
	packages.Visit(pkgs, nil, func(p *packages.Package) {
		if p.PkgPath == f.module || strings.HasPrefix(p.PkgPath, f.module+"/") {
			f.packages = append(f.packages, p)
		}
	})
	return f, nil
}
