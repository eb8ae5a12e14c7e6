package adopt

import (
	"bytes"
	"errors"
	"go/ast"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// source is a filter as somebody else keeps it.
type source struct {
	module   string            // the import path of its module; empty when it has no go.mod
	root     string            // the folder of that go.mod
	main     string            // the filter's folder below root, "." for root itself
	files    map[string][]byte // what is copied, by its place below root
	imports  []string          // of other modules
	requires map[string]string // its go.mod's versions, by module path
	doc      string            // of package main
	notes    []string
}

// read takes the files of package main and, from there, of every package of the same module that is imported.
func read(from string) (*source, error) {
	info, err := os.Stat(from)
	if err != nil {
		return nil, cli.Usage("%w", err)
	}
	dir, only := from, ""
	if !info.IsDir() {
		dir, only = filepath.Dir(from), filepath.Base(from)
	}
	s := &source{files: map[string][]byte{}, requires: map[string]string{}}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := s.findModule(dir); err != nil {
		return nil, err
	}
	if s.main, err = filepath.Rel(s.root, dir); err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	if err := s.readPackage(filepath.ToSlash(s.main), only, seen); err != nil {
		return nil, err
	}
	slices.Sort(s.imports)
	s.imports = slices.Compact(s.imports)
	return s, nil
}

// findModule looks for go.mod in dir and above. A folder without one is its own root.
func (s *source) findModule(dir string) error {
	s.root = dir
	for at := dir; ; at = filepath.Dir(at) {
		data, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil {
			mod, err := modfile.ParseLax(filepath.Join(at, "go.mod"), data, nil)
			if err != nil {
				return cli.Finding("%w", err)
			}
			if mod.Module == nil {
				return cli.Finding("%s: no module line", filepath.Join(at, "go.mod"))
			}
			s.root, s.module = at, mod.Module.Mod.Path
			for _, r := range mod.Require {
				s.requires[r.Mod.Path] = r.Mod.Version
			}
			for _, r := range mod.Replace {
				s.notes = append(s.notes, "its go.mod replaces "+r.Old.Path+", which is not taken over")
			}
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// readPackage takes the Go files of a folder below root that TinyGo may compile, what they embed, and the packages that they import.
func (s *source) readPackage(dir, only string, seen map[string]bool) error {
	if seen[dir] {
		return nil
	}
	seen[dir] = true
	entries, err := os.ReadDir(filepath.Join(s.root, dir))
	if err != nil {
		return cli.Finding("%w", err)
	}
	found := false
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || only != "" && name != only {
			continue
		}
		data, err := os.ReadFile(filepath.Join(s.root, dir, name))
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, data, parser.ParseComments)
		if err != nil {
			return cli.Finding("%s: %w", filepath.Join(s.root, dir), err)
		}
		if !forTinyGo(file) {
			continue
		}
		if dir == filepath.ToSlash(s.main) {
			if file.Name.Name != "main" {
				return cli.Finding("%s is package %s. a filter is package main", filepath.Join(s.root, dir, name), file.Name.Name)
			}
			if file.Doc != nil && s.doc == "" {
				s.doc = file.Doc.Text()
			}
		}
		found = true
		s.files[path.Join(dir, name)] = data
		if err := s.embedded(dir, file); err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			if within, ok := s.within(imported); ok {
				if err := s.readPackage(within, "", seen); err != nil {
					return err
				}
			} else if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
				s.imports = append(s.imports, imported)
			}
		}
	}
	if !found {
		return cli.Finding("%s: no Go files for a filter", filepath.Join(s.root, dir))
	}
	return nil
}

// within is the folder below root of a package of the source's own module.
func (s *source) within(imported string) (string, bool) {
	if s.module == "" {
		return "", false
	}
	if imported == s.module {
		return ".", true
	}
	return strings.CutPrefix(imported, s.module+"/")
}

// forTinyGo reports whether a file's build constraint lets TinyGo compile it for Wasm.
func forTinyGo(file *ast.File) bool {
	for _, group := range file.Comments {
		for _, c := range group.List {
			if c.Pos() > file.Package || !constraint.IsGoBuild(c.Text) {
				continue
			}
			expr, err := constraint.Parse(c.Text)
			if err != nil {
				continue
			}
			return expr.Eval(func(tag string) bool {
				return slices.Contains([]string{"tinygo", "tinygo.wasm", "wasip1", "wasm", "purego", "scheduler.none"}, tag) || strings.HasPrefix(tag, "go1.")
			})
		}
	}
	return true
}

// embedded takes what go:embed names.
func (s *source) embedded(dir string, file *ast.File) error {
	for _, group := range file.Comments {
		for _, c := range group.List {
			patterns, ok := strings.CutPrefix(c.Text, "//go:embed ")
			if !ok {
				continue
			}
			for _, pattern := range strings.Fields(patterns) {
				matches, err := filepath.Glob(filepath.Join(s.root, dir, strings.TrimPrefix(strings.Trim(pattern, "\"`"), "all:")))
				if err != nil {
					return err
				}
				for _, match := range matches {
					if err := s.take(match); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// take copies a file, or all files of a folder.
func (s *source) take(at string) error {
	return filepath.WalkDir(at, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.root, file)
		if err != nil {
			return err
		}
		s.files[filepath.ToSlash(rel)] = data
		return nil
	})
}

// rewritten are the files as they stand in the filter's folder, whose import path is given: package main at its top, other packages
// of the module below it.
func (s *source) rewritten(to string) (map[string][]byte, error) {
	all := map[string][]byte{}
	for name, data := range s.files {
		place := s.place(name)
		if other, taken := all[place]; taken && !bytes.Equal(other, data) {
			return nil, cli.Finding("two files of %s would become %s. move one", s.root, place)
		}
		if strings.HasSuffix(name, ".go") {
			var err error
			if data, err = s.rewrite(name, data, to); err != nil {
				return nil, err
			}
		}
		all[place] = data
	}
	return all, nil
}

// place is where a file of the source goes below the filter's folder. What lies outside the filter's own folder keeps its place in
// the module; the module's top folder gets one of the module's name.
func (s *source) place(name string) string {
	main := filepath.ToSlash(s.main)
	if main == "." {
		return name
	}
	if rel, ok := strings.CutPrefix(name, main+"/"); ok {
		return rel
	}
	if path.Dir(name) == "." {
		return path.Join(path.Base(s.module), name)
	}
	return name
}

// edit is a piece of text that replaces the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

// rewrite turns main() into init() and imports of the source's module into those of its copy. All else stays as it was written.
func (s *source) rewrite(name string, data []byte, to string) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, data, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	offset := func(pos token.Pos) int { return fset.Position(pos).Offset }
	var edits []edit
	for _, spec := range file.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value)
		if within, ok := s.within(imported); ok {
			copied := strconv.Quote(path.Join(to, path.Dir(s.place(path.Join(within, "file")))))
			edits = append(edits, edit{offset(spec.Path.Pos()), offset(spec.Path.End()), copied})
		}
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if ok && file.Name.Name == "main" && f.Recv == nil && f.Name.Name == "main" && f.Body != nil && len(f.Body.List) > 0 {
			edits = append(edits, edit{offset(f.Name.Pos()), offset(f.Name.End()), "init"},
				edit{len(data), len(data), "\n// main is never called: the host runs _initialize, which runs init, and then calls back.\nfunc main() {}\n"})
		}
	}
	slices.SortFunc(edits, func(a, b edit) int { return b.start - a.start })
	for _, e := range edits {
		data = slices.Concat(data[:e.start], []byte(e.text), data[e.end:])
	}
	return data, nil
}
