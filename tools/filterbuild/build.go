package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/istiocompat"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// builder builds the filters of one repository.
type builder struct {
	root, tools string
	compiler    compiler
	limits      wasmfile.Limits
	stockSDK    bool

	mu  sync.Mutex
	log io.Writer
}

// tinygoFlags: c-shared, because _initialize runs init() and returns, where the default mode exits, which Envoy refuses. The names of
// functions stay until they have been counted; trim drops them.
var tinygoFlags = []string{"-target=wasip1", "-buildmode=c-shared", "-scheduler=none", "-gc=precise", "-opt=z", "-panic=trap"}

func (b *builder) open(log io.Writer) error {
	b.log = log
	tools, err := filepath.Abs(b.tools)
	if err != nil {
		return err
	}
	b.compiler = compiler{path: filepath.Join(tools, "bin", "tinygo"), flags: tinygoFlags}
	if _, err := os.Stat(b.compiler.path); err != nil {
		return fmt.Errorf("no TinyGo in %s. run \"make tools\"", b.tools)
	}
	if !b.stockSDK {
		b.compiler.modfile, err = tableSDK(b.root)
	}
	return err
}

// say writes whole lines, also when several filters are built at a time.
func (b *builder) say(lines ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range lines {
		fmt.Fprintln(b.log, line)
	}
}

// source is one filter and where its module goes.
type source struct {
	catalog.Filter
	pattern string // for go list: ./filters/mine; empty when the module is there already
	module  string // build/mine.wasm
	stamp   string // what its module would be stamped with
	in      inputs
}

func (b *builder) sources(names []string) ([]source, error) {
	var all []source
	var patterns []string
	for _, name := range names {
		f, err := catalog.Find(filepath.Join(b.root, "filters"), name)
		if err != nil {
			return nil, err
		}
		s := source{Filter: f, module: filepath.Join(b.root, "build", name+".wasm")}
		if _, err := os.Stat(s.prebuilt()); errors.Is(err, fs.ErrNotExist) {
			s.pattern = "./filters/" + name
			patterns = append(patterns, s.pattern)
		}
		all = append(all, s)
	}
	in, err := readInputs(b.compiler, b.root, patterns)
	if err != nil {
		return nil, err
	}
	for i, s := range all {
		if s.pattern == "" {
			if all[i].stamp, err = in.stamp("", filepath.Join(s.Dir, catalog.File), s.prebuilt()); err != nil {
				return nil, err
			}
			continue
		}
		dir, err := filepath.Abs(s.Dir)
		if err != nil {
			return nil, err
		}
		path, ok := in.find(dir)
		if !ok || len(in.packages[path].GoFiles)+len(in.packages[path].CgoFiles) == 0 {
			return nil, cli.Finding("%s: neither Go files nor %s. a filter is package main, or a module", s.Dir, catalog.Prebuilt)
		}
		s.in = in
		s.stamp, err = in.stamp(path, filepath.Join(s.Dir, catalog.File))
		if err != nil {
			return nil, err
		}
		all[i] = s
	}
	return all, nil
}

// fresh reports whether the module is there, as this program wrote it, and made of what is there now.
func (s source) fresh() bool {
	module, err := os.ReadFile(s.module)
	if err != nil {
		return false
	}
	stamp, err := os.ReadFile(s.stampFile())
	return err == nil && string(stamp) == s.stampOf(module)
}

// prebuilt is the module in the filter's folder, of those that have one.
func (s source) prebuilt() string { return filepath.Join(s.Dir, catalog.Prebuilt) }

func (s source) stampFile() string { return strings.TrimSuffix(s.module, ".wasm") + ".stamp" }

func (s source) stampOf(module []byte) string {
	return fmt.Sprintf("%s %x\n", s.stamp, sha256.Sum256(module))
}

// build brings the modules up to date and prints a line for each. One that cannot be built does not keep the others from it.
func (b *builder) build(ctx context.Context, names []string, stdout io.Writer) error {
	sources, err := b.sources(names)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(b.root, "build"), 0o755); err != nil {
		return err
	}
	failed := make([]error, len(sources))
	var tasks errgroup.Group
	tasks.SetLimit(runtime.NumCPU())
	for i, s := range sources {
		tasks.Go(func() error {
			if !s.fresh() || !s.described() {
				failed[i] = b.make(ctx, s)
			}
			return nil
		})
	}
	_ = tasks.Wait()
	for i, s := range sources {
		var list findings
		switch {
		case errors.As(failed[i], &list):
			b.say(list.lines()...)
			failed[i] = cli.ErrFindings
		case failed[i] != nil:
			failed[i] = fmt.Errorf("building %s: %w", s.Name, failed[i])
		default:
			module, err := os.ReadFile(s.module)
			if err != nil {
				return err
			}
			file, err := filepath.Rel(b.root, s.module)
			if err != nil {
				return err
			}
			fmt.Fprint(stdout, describe(file, module))
		}
	}
	return errors.Join(failed...)
}

// described reports whether module.yaml is there. Its content is compared by git: make check wants a clean tree.
func (s source) described() bool {
	_, err := os.Stat(filepath.Join(s.Dir, catalog.ModuleFile))
	return err == nil
}

// make builds one module: whatever goes wrong, there is none afterwards.
func (b *builder) make(ctx context.Context, s source) error {
	raw := strings.TrimSuffix(s.module, ".wasm") + ".raw"
	for _, file := range []string{s.module, s.stampFile(), raw} {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if s.pattern == "" {
		return b.take(ctx, s)
	}
	p, err := load(b.compiler, b.root, s.pattern)
	if err != nil {
		return err
	}
	if list := vet(p); len(list) > 0 {
		return list
	}
	b.say("build: compiling filters/" + s.Name)
	if err := b.compile(ctx, p, s, raw); err != nil {
		return err
	}
	made, err := os.ReadFile(raw)
	if err != nil {
		return err
	}
	sizes := codeSizes(made)
	if list := p.forbidden(filepath.Join(s.Dir, catalog.File), s.Forbid, sizes); len(list) > 0 {
		return list
	}
	module, notes, err := b.trim(ctx, p, made)
	if err != nil {
		return err
	}
	for _, note := range notes {
		b.say("build: " + note)
	}
	module, sealed := wasmfile.Seal(module)
	if !sealed && p.vmstate != "" {
		return errors.New("the module has no place for what build it is, which filterbuild has put there. report it")
	}
	if err := b.check(ctx, s, module, sizes); err != nil {
		return err
	}
	if costs := p.costs(sizes); len(costs) > 0 {
		b.say(fmt.Sprintf("build: %s is %s. its imports bring, before wasm-opt: %s", s.Name, kilobytes(len(module)), strings.Join(costs, ", ")))
	}
	return s.write(module, p.versions())
}

// take checks a module that somebody else built. Not a byte of it is changed: its maker's digest is its digest.
func (b *builder) take(ctx context.Context, s source) error {
	if files, err := filepath.Glob(filepath.Join(s.Dir, "*.go")); err != nil || len(files) > 0 {
		return errors.Join(err, findings{{position{"filters/" + s.Name, 1, 1}, "beside " + catalog.Prebuilt + " nothing is compiled. remove one of them [prebuilt]"}})
	}
	module, err := os.ReadFile(s.prebuilt())
	if err != nil {
		return err
	}
	if err := b.check(ctx, s, module, nil); err != nil {
		return err
	}
	return s.write(module, nil)
}

// write puts module.yaml, the module and its stamp in their places.
func (s source) write(module []byte, packages []string) error {
	if err := s.describe(packages, module); err != nil {
		return err
	}
	if err := atomicfile.Write(s.module, module); err != nil {
		return err
	}
	return atomicfile.Write(s.stampFile(), []byte(s.stampOf(module)))
}

// compile runs TinyGo, which is the last to say what the sources are worth.
func (b *builder) compile(ctx context.Context, p *program, s source, raw string) error {
	said, err := b.tinygo(ctx, s, raw)
	if err == nil {
		return nil
	}
	return p.refused(said, err)
}

func (b *builder) tinygo(ctx context.Context, s source, file string) (said string, err error) {
	if file, err = filepath.Abs(file); err != nil {
		return "", err
	}
	args := append([]string{"build"}, b.compiler.flags...)
	cmd := exec.CommandContext(ctx, b.compiler.path, append(args, "-o", file, s.pattern)...)
	cmd.Dir, cmd.Env = b.root, b.compiler.environment()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// refused are the words of TinyGo at the lines of the author's.
func (p *program) refused(said string, err error) error {
	if strings.Contains(said, "attempted to start a goroutine without a scheduler") {
		if list := p.goroutines(); len(list) > 0 {
			return list
		}
	}
	return p.compileErrors(said, err)
}

// trim drops the exports that nobody needs and then the code behind them.
func (b *builder) trim(ctx context.Context, p *program, made []byte) (module []byte, notes []string, err error) {
	m, err := wasmfile.Read(made)
	if err != nil {
		return nil, nil, err
	}
	names, notes := unneeded(p, m)
	drop := map[string]bool{}
	for _, name := range names {
		drop[name] = true
	}
	dir, err := os.MkdirTemp("", "filterbuild-")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	in, out := filepath.Join(dir, "in.wasm"), filepath.Join(dir, "out.wasm")
	if err := os.WriteFile(in, withoutExports(made, drop), 0o644); err != nil {
		return nil, nil, err
	}
	if said, err := exec.CommandContext(ctx, "wasm-opt", "-Oz", in, "-o", out).CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("wasm-opt: %w: %s", err, said)
	}
	module, err = os.ReadFile(out)
	return module, notes, err
}

// check refuses a module that Envoy would refuse or that is over its bound. The pinned Envoy is asked; for the other minors that
// the filter is for the table decides.
func (b *builder) check(ctx context.Context, s source, module []byte, sizes map[string]int) error {
	j := judge{envoys: b.pinned(), minors: istiocompat.EnvoysFrom(s.Istio), limits: b.limits}
	j.limits.Bytes = max(j.limits.Bytes, s.Limit()) // who sets a bound has thought about it
	if len(j.envoys) == 0 {
		b.say("build: no Envoy in " + b.tools + ": whether it loads " + s.Name + " is judged by tables. run \"make tools\"")
	}
	problems, err := j.judge(ctx, module)
	if err != nil {
		return err
	}
	var list findings
	for _, problem := range problems {
		list = append(list, finding{position{"filters/" + s.Name, 1, 1}, problem + " [lint]"})
	}
	if limit := s.Limit(); limit > 0 && len(module) > limit {
		list = append(list, finding{position{"filters/" + s.Name + "/" + catalog.File, 1, 1},
			fmt.Sprintf("the module has %d bytes, size allows %s%s. make it smaller, or raise size [guest-size]", len(module), s.Size, biggest(sizes))})
	}
	if len(list) > 0 {
		return list
	}
	return nil
}

// stale names the modules that are not what their sources build.
func (b *builder) stale(names []string, stdout io.Writer) error {
	sources, err := b.sources(names)
	if err != nil {
		return err
	}
	var lines []string
	for _, s := range sources {
		if !s.fresh() {
			lines = append(lines, fmt.Sprintf("build/%s.wasm is stale: it is not what filters/%[1]s builds now. run \"make build FILTER=%[1]s\"", s.Name))
		}
	}
	return report(stdout, lines)
}

func (b *builder) vet(names []string) error {
	sources, err := b.sources(names)
	if err != nil {
		return err
	}
	var list findings
	for _, s := range sources {
		if s.pattern == "" {
			continue
		}
		p, err := load(b.compiler, b.root, s.pattern)
		var compile findings
		switch {
		case errors.As(err, &compile):
			list = append(list, compile...)
		case err != nil:
			return err
		default:
			list = append(list, vet(p)...)
		}
	}
	return report(b.log, list.lines())
}
