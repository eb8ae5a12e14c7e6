package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/go/packages"
)

// noImport are the packages that a guest may not import, each with what to do instead.
var noImport = map[string]string{
	"fmt":           "it adds 85 kB. build strings with + and strconv",
	"log":           "nobody reads its output. use proxywasm.LogInfo and its like",
	"log/slog":      "nobody reads its output. use proxywasm.LogInfo and its like",
	"encoding/json": "it adds 250 kB and accepts what it does not know. use filters/internal/pluginconfig",
	"net":           "a filter has no sockets. use proxywasm.DispatchHttpCall",
	"net/http":      "a filter has no sockets. use proxywasm.DispatchHttpCall",
	"os":            "a filter has no files or environment. take values from the plugin configuration",
	"os/exec":       "a filter has no processes",
	"testing":       "it belongs in _test.go files",
}

// noUse are the functions that a guest may not call, by package.
var noUse = map[string]map[string]string{
	sdk: {
		"LogTracef": logf, "LogDebugf": logf, "LogInfof": logf, "LogWarnf": logf, "LogErrorf": logf, "LogCriticalf": logf,
	},
	"time": {
		"Sleep": wait, "After": wait, "AfterFunc": wait, "NewTimer": wait, "NewTicker": wait, "Tick": wait,
	},
}

const (
	logf = "it links fmt, 85 kB. use the function without f and build the string with + and strconv"
	wait = "nothing may block the worker. use proxywasm.SetTickPeriodMilliSeconds and OnTick"
)

// vet lists what would compile and then fail, or cost, in Envoy.
func vet(f *filter) []string {
	var findings []string
	for _, p := range f.packages {
		add := func(at token.Pos, format string, args ...any) {
			pos := p.Fset.Position(at)
			findings = append(findings, fmt.Sprintf("%s:%d:%d: %s", relative(pos.Filename), pos.Line, pos.Column, fmt.Sprintf(format, args...)))
		}
		for _, file := range p.Syntax {
			for _, spec := range file.Imports {
				path, _ := strconv.Unquote(spec.Path.Value)
				if why, no := noImport[path]; no {
					add(spec.Pos(), "a filter may not import %q: %s [guest-import]", path, why)
				}
				if strings.HasPrefix(path, f.module+"/") && !strings.HasPrefix(path, f.module+"/filters/") {
					add(spec.Pos(), "a filter may not import %q: it is host code. what both sides need crosses as a file [guest-import]", path)
				}
			}
			vetFile(p, file, add)
		}
	}
	slices.Sort(findings)
	return findings
}

func vetFile(p *packages.Package, file *ast.File, add func(token.Pos, string, ...any)) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			add(n.Pos(), "a filter may not start a goroutine: it is built without a scheduler. do the work in OnTick or a callout's answer [guest-goroutine]")
		case *ast.SelectorExpr:
			used := p.TypesInfo.Uses[n.Sel]
			if used == nil || used.Pkg() == nil {
				break
			}
			if why, no := noUse[used.Pkg().Path()][used.Name()]; no {
				add(n.Pos(), "a filter may not use %s.%s: %s [guest-call]", used.Pkg().Name(), used.Name(), why)
			}
		case *ast.FuncDecl:
			// In -buildmode=c-shared main is never called: what stands there compiles, is optimised away, and the VM traps.
			if p.Name == "main" && n.Name.Name == "main" && n.Recv == nil && n.Body != nil && len(n.Body.List) > 0 {
				add(n.Body.List[0].Pos(), "main() of a filter never runs, so proxywasm.SetVMContext would not be called. move its body to init() [guest-main]")
			}
		}
		return true
	})
}

// relative is the file's path from the working directory, as compilers print it.
func relative(file string) string {
	wd, err := os.Getwd()
	if err != nil {
		return file
	}
	if rel, err := filepath.Rel(wd, file); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return file
}
