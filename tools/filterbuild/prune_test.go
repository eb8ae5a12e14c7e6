//go:build envoy

package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"

	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

const root = "../.."

var tinygo = compiler{path: filepath.Join(root, ".tools/bin/tinygo"), flags: tinygoFlags}

func absolute(t *testing.T, c compiler) compiler {
	t.Helper()
	path, err := filepath.Abs(c.path)
	require.NoError(t, err)
	require.FileExists(t, path, `run "make tools"`)
	c.path = path
	return c
}

// cases runs test for each case of testdata/<folder>, which gets its file, and of its archive what "want" holds.
func cases(t *testing.T, folder string, test func(t *testing.T, file string, archive *txtar.Archive, want string)) {
	files, err := filepath.Glob("testdata/" + folder + "/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			want := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
			require.NotEqual(t, -1, want)
			test(t, file, archive, string(archive.Files[want].Data))
		})
	}
}

// unpack writes a case into a folder of its own: a module that may use the SDK, the fork in testdata/sdk and a library in kit/.
func unpack(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(dir, "sdk"), os.DirFS("testdata/sdk")))
	mod := "module example.org/filter\n\ngo 1.26.0\n\nrequire github.com/tetratelabs/proxy-wasm-go-sdk v0.24.0\n" +
		"require example.org/sdk v0.0.0\nreplace example.org/sdk => ./sdk\n"
	for _, f := range archive.Files {
		file := filepath.Join(dir, f.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		data := f.Data
		if f.Name == "sdk/types/default.go" { // replaces the method of types.go
			dropLine(t, filepath.Join(dir, "sdk/types/types.go"), "func (*DefaultHttpContext) OnHttpRequestHeaders")
		}
		if f.Name == "kit/go.mod" {
			mod += "require example.org/kit v0.0.0\nreplace example.org/kit => ./kit\n"
		}
		require.NoError(t, os.WriteFile(file, data, 0o644))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644))
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o644))
	return dir
}

func dropLine(t *testing.T, file, prefix string) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var kept strings.Builder
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, prefix) {
			kept.WriteString(line)
		}
	}
	require.NoError(t, os.WriteFile(file, []byte(kept.String()), 0o644))
}

// Each case is a program and, in want, the callbacks that must stay in its module and what build says.
func TestUnneeded(t *testing.T) {
	cases(t, "prune", func(t *testing.T, _ string, archive *txtar.Archive, want string) {
		dir := unpack(t, archive)
		p, err := load(absolute(t, tinygo), dir, ".")
		require.NoError(t, err)
		exports := slices.Concat(slices.Sorted(maps.Keys(callbacks)), slices.Sorted(maps.Keys(answers)))
		if p.uses("example.org/sdk/internal") {
			exports = []string{"proxy_on_done", "proxy_on_log", "proxy_on_request_headers", "proxy_on_tick"} // what it has
		}
		m := &wasmfile.Module{Exports: slices.Sorted(slices.Values(exports))}
		if calls, err := os.ReadFile(filepath.Join(dir, "imports")); err == nil {
			m.Imports = []wasmfile.Import{{Module: "env", Name: strings.TrimSpace(string(calls))}}
		}
		drop, notes := unneeded(p, m)
		var got strings.Builder
		for _, e := range m.Exports {
			if !slices.Contains(drop, e) {
				got.WriteString(e + "\n")
			}
		}
		for _, n := range notes {
			got.WriteString("# " + n + "\n")
		}
		require.Equal(t, want, got.String())
	})
}

func (p *program) uses(path string) bool {
	return slices.ContainsFunc(p.packages, func(pkg *packages.Package) bool { return pkg.PkgPath == path })
}

// The C library's allocator goes when the SDK's is there, and only then.
func TestUnneededAllocator(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/prune/nothing.txtar")
	require.NoError(t, err)
	p, err := load(absolute(t, tinygo), unpack(t, archive), ".")
	require.NoError(t, err)
	drop, _ := unneeded(p, &wasmfile.Module{Exports: []string{"calloc", "free", "malloc", "proxy_on_memory_allocate", "realloc"}})
	require.Equal(t, []string{"calloc", "free", "malloc", "realloc"}, drop)
	drop, _ = unneeded(p, &wasmfile.Module{Exports: []string{"free", "malloc"}})
	require.Empty(t, drop)
}
