package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// A filter's build takes the SDK as it is, but for two things. The way that it keeps the contexts: its maps cost more than all else
// that it does for a request. And a filter that has accepted its configuration says so, for tools/verify. The SDK is archived, and its
// sources are not copied here: build/ gets a copy of the module with our two files, and a go.mod that points there. Whatever reads the
// program (go list, vet, prune, TinyGo) is given that go.mod.

var (
	//go:embed sdk/vmstate.go
	vmstate []byte
	//go:embed sdk/proof.go
	proof []byte
)

// own is how the files begin here, where they are no package.
var own = []byte("//go:build ignore\n\n")

const (
	sdkModule = "github.com/tetratelabs/proxy-wasm-go-sdk"
	// sdkVMState is the file that ours takes the place of, in the one version that ours was compared with.
	sdkVMState    = "proxywasm/internal/vmstate.go"
	sdkVMStateSum = "d56047c64f9690e3dd143b2b5e8db8b866feb42a75011c2f1dfb28c2da7c5ec6"
	// sdkConfigure and sdkDelete are the files where a plugin begins and ends.
	sdkConfigure = "proxywasm/internal/abi_callback_configuration.go"
	sdkDelete    = "proxywasm/internal/abi_callback_lifecycle.go"
	sdkProof     = "proxywasm/internal/proof.go"
)

// contextMaps are the maps of the SDK's state that ours has methods for.
var contextMaps = []string{"pluginContexts", "httpContexts", "tcpContexts", "contextIDToRootID"}

// tableSDK makes the copy below build/ and gives the go.mod that points there, by its path from the root; empty where the repository
// takes another SDK, another version or a vendored one, whose own maps then stay.
func tableSDK(root string) (modfile string, err error) {
	if _, err := os.Stat(filepath.Join(root, "vendor")); err == nil {
		return "", nil
	}
	cmd := exec.Command("go", "list", "-m", "-json", sdkModule)
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return "", nil // no requirement of this repository
	}
	var module struct {
		Dir     string
		Replace *struct{}
	}
	if err := json.Unmarshal(out, &module); err != nil {
		return "", err
	}
	theirs, err := os.ReadFile(filepath.Join(module.Dir, sdkVMState))
	if module.Replace != nil || err != nil || sum(theirs) != sdkVMStateSum {
		return "", nil
	}
	sdk, err := sdkFiles(module.Dir)
	if err != nil {
		return "", err
	}
	files := map[string][]byte{}
	for path, content := range sdk {
		files["sdk/"+path] = content
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		if files[name], err = os.ReadFile(filepath.Join(root, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintln(h, path, sum(files[path]))
	}
	// Its name says what is in it, so that it is never changed while another build reads it.
	folder := "build/guest-" + hex.EncodeToString(h.Sum(nil))[:12]
	files["go.mod"] = fmt.Appendf(files["go.mod"], "\nreplace %s => ./%s/sdk\n", sdkModule, folder)
	return folder + "/go.mod", writeOnce(filepath.Join(root, folder), files)
}

// writeOnce makes the folder, all of it or nothing, unless it is there.
func writeOnce(dir string, files map[string][]byte) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	next, err := os.MkdirTemp(filepath.Dir(dir), ".guest-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(next)
	for path, content := range files {
		path = filepath.Join(next, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(next, 0o755); err != nil {
		return err
	}
	if err := os.Rename(next, dir); err != nil && !errors.Is(err, fs.ErrExist) { // another build was first
		return err
	}
	return nil
}

// sdkFiles are the Go files of the SDK that a filter is made of, by path, with our table in place of its maps, and with our proof.
func sdkFiles(dir string) (map[string][]byte, error) {
	files, err := tableFiles(dir)
	if err != nil {
		return nil, err
	}
	for _, change := range []struct{ file, theirs, ours string }{
		{sdkConfigure, "ctx.context.OnPluginStart(pluginConfigurationSize)", "configured(ctx.context.OnPluginStart(pluginConfigurationSize), pluginContextID, pluginConfigurationSize)"},
		{sdkDelete, "currentState.deletePluginContexts(contextID)", "deleteCounted(contextID)"},
	} {
		if n := bytes.Count(files[change.file], []byte(change.theirs)); n != 1 {
			return nil, fmt.Errorf("%s has %q %d times, want 1", change.file, change.theirs, n)
		}
		files[change.file] = bytes.Replace(files[change.file], []byte(change.theirs), []byte(change.ours), 1)
	}
	files[sdkProof] = bytes.TrimPrefix(proof, own)
	return files, nil
}

// tableFiles are those files without the proof.
func tableFiles(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		rel = filepath.ToSlash(rel)
		switch {
		case err != nil:
			return err
		case e.IsDir() && rel != "." && rel != "proxywasm" && !strings.HasPrefix(rel, "proxywasm/"):
			return fs.SkipDir // examples
		case e.IsDir() || rel != "go.mod" && rel != "LICENSE" && filepath.Ext(rel) != ".go" || strings.HasSuffix(rel, "_test.go"):
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		switch {
		case rel == sdkVMState:
			content = bytes.TrimPrefix(vmstate, own)
		case strings.HasPrefix(rel, "proxywasm/internal/abi_callback_"):
			if content, err = callMethods(content); err != nil {
				return fmt.Errorf("%s: %w", rel, err)
			}
		}
		files[rel] = content
		return nil
	})
	return files, err
}

// callMethods makes of each map of contexts that the file reads, or deletes from, a call of the method of that name.
func callMethods(content []byte) ([]byte, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", content, 0)
	if err != nil {
		return nil, err
	}
	text := func(n ast.Node) string {
		return string(content[fset.Position(n.Pos()).Offset:fset.Position(n.End()).Offset])
	}
	var out bytes.Buffer
	done := 0
	replace := func(n ast.Node, with string) {
		out.Write(content[done:fset.Position(n.Pos()).Offset])
		out.WriteString(with)
		done = fset.Position(n.End()).Offset
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IndexExpr:
			if owner, name := contextMap(n.X); name != "" {
				replace(n, fmt.Sprintf("%s.%s(%s)", text(owner), name, text(n.Index)))
			}
		case *ast.CallExpr:
			if fun, ok := n.Fun.(*ast.Ident); ok && fun.Name == "delete" {
				if owner, name := contextMap(n.Args[0]); name != "" {
					replace(n, fmt.Sprintf("%s.delete%s%s(%s)", text(owner), strings.ToUpper(name[:1]), name[1:], text(n.Args[1])))
				}
			}
		}
		return true
	})
	out.Write(content[done:])
	return out.Bytes(), nil
}

func contextMap(x ast.Expr) (owner ast.Expr, name string) {
	if s, ok := x.(*ast.SelectorExpr); ok && slices.Contains(contextMaps, s.Sel.Name) {
		return s.X, s.Sel.Name
	}
	return nil, ""
}

// looksUp reports whether the function is one of ours that reads a context, as the SDK reads its maps.
func (p *program) looksUp(f *ssa.Function) bool {
	return f != nil && p.vmstate != "" && slices.Contains(contextMaps, f.Name()) && f.Prog.Fset.Position(f.Pos()).Filename == p.vmstate
}

func sum(content []byte) string {
	h := sha256.Sum256(content)
	return hex.EncodeToString(h[:])
}
