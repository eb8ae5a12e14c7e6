package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A module's stamp is a hash of everything that decides its bytes: the files of every package that go list says TinyGo compiles,
// by content; the compiler, its standard library and binaryen, by size and time; the flags; this program. A file that nobody
// imports is not in it, and one that was deleted changes it.

// inputs knows the packages of some filters and the toolchain.
type inputs struct {
	packages  map[string]*listed
	toolchain string
}

// listed is a package as go list has it.
type listed struct {
	ImportPath, Dir                           string
	Standard                                  bool
	GoFiles, CgoFiles, CFiles, HFiles, SFiles []string
	EmbedFiles                                []string
	Imports                                   []string
	ImportMap                                 map[string]string
	Module                                    *struct{ Path, Version string }
	Error                                     *struct{ Err string }
}

func readInputs(c compiler, dir string, patterns []string) (inputs, error) {
	in := inputs{packages: map[string]*listed{}}
	v, err := c.view(dir)
	if err != nil {
		return in, err
	}
	if in.toolchain, err = c.toolchain(dir); err != nil {
		return in, err
	}
	if len(patterns) == 0 {
		return in, nil
	}
	// -e: what is wrong with a package is said when it is loaded, at the author's line.
	cmd := exec.Command("go", slices.Concat([]string{"list", "-e", "-deps",
		"-json=ImportPath,Dir,Standard,GoFiles,CgoFiles,CFiles,HFiles,SFiles,EmbedFiles,Imports,ImportMap,Module,Error"}, v.buildFlags(), patterns)...)
	cmd.Dir, cmd.Env = dir, v.environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return in, fmt.Errorf("listing packages: %w: %s", err, &stderr)
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return in, nil
		} else if err != nil {
			return in, fmt.Errorf("listing packages: %w", err)
		}
		in.packages[p.ImportPath] = &p
	}
}

// toolchain is what TinyGo says of itself and its target, and the size and time of the programs and libraries that it uses.
func (c compiler) toolchain(dir string) (string, error) {
	h := sha256.New()
	var rootDir string
	for _, args := range [][]string{{"env", "TINYGOROOT"}, slices.Concat([]string{"info", "-json"}, c.flags), {"version"}} {
		cmd := exec.Command(c.path, args...)
		cmd.Dir = dir
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("running %s %s: %w. run \"make tools\"", c.path, args[0], err)
		}
		if args[0] == "env" {
			rootDir = strings.TrimSpace(string(out))
			continue // where it stands decides nothing
		}
		h.Write(out)
		var info struct {
			Target struct {
				LDFlags []string `json:"ldflags"`
				Extra   []string `json:"extra-files"`
			}
		}
		if args[0] == "info" && json.Unmarshal(out, &info) == nil {
			for _, f := range info.Target.Extra {
				stat(h, filepath.Join(rootDir, f))
			}
			for _, f := range info.Target.LDFlags {
				if lib, ok := strings.CutPrefix(f, "-L"); ok {
					stat(h, filepath.Join(lib, "libc.a"))
				} else if filepath.IsAbs(f) {
					stat(h, f)
				}
			}
		}
	}
	stat(h, filepath.Join(rootDir, "bin", "tinygo"))
	wasmOpt, err := exec.LookPath("wasm-opt")
	if err != nil {
		return "", errors.New(`wasm-opt is missing. run "make tools"`)
	}
	stat(h, wasmOpt)
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	program, err := os.ReadFile(self)
	if err != nil {
		return "", err
	}
	h.Write(program)
	fmt.Fprintln(h, c.flags)
	return hex.EncodeToString(h.Sum(nil)), nil
}

func stat(h hash.Hash, file string) {
	if info, err := os.Stat(file); err == nil {
		fmt.Fprintln(h, file, info.Size(), info.ModTime().UnixNano())
	}
}

// stamp is the hash of what the module of this package is made of, and of more files of the filter.
func (in inputs) stamp(path string, files ...string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, in.toolchain)
	for _, file := range files {
		if err := content(h, file, filepath.Base(file)); err != nil {
			return "", err
		}
	}
	for _, p := range in.closure(path) {
		fmt.Fprintln(h, p.ImportPath)
		for _, file := range slices.Concat(p.GoFiles, p.CgoFiles, p.CFiles, p.HFiles, p.SFiles, p.EmbedFiles) {
			at := filepath.Join(p.Dir, file)
			if p.Standard {
				stat(h, at)
			} else if err := content(h, at, file); err != nil {
				return "", err
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func content(h hash.Hash, file, name string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fmt.Fprintln(h, name, len(data))
	h.Write(data)
	return nil
}

// closure is the package and all that it imports, sorted.
func (in inputs) closure(path string) []*listed {
	seen := map[string]*listed{}
	var visit func(string)
	visit = func(path string) {
		p := in.packages[path]
		if p == nil || seen[path] != nil {
			return
		}
		seen[path] = p
		for _, i := range p.Imports {
			if mapped, ok := p.ImportMap[i]; ok {
				i = mapped
			}
			visit(i)
		}
	}
	visit(path)
	all := make([]*listed, 0, len(seen))
	for _, p := range seen {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *listed) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return all
}

// find is the listed package of a folder.
func (in inputs) find(dir string) (string, bool) {
	for path, p := range in.packages {
		if p.Dir == dir {
			return path, true
		}
	}
	return "", false
}
