// Command hosttable writes host.txt: what each Envoy of a supported Istio gives to a module and wants of it, asked of the Envoys.
// Run by go generate, after make envoys.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/wasmfleet/wasmfleet/internal/istiocompat"
	"github.com/wasmfleet/wasmfleet/internal/loadcheck"
	"github.com/wasmfleet/wasmfleet/internal/loadcheck/testmodule"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "hosttable:", err)
		os.Exit(3)
	}
}

// abis are those that proxy-wasm has had. What an Envoy does not know it does not load.
var abis = []string{"0.1.0", "0.2.0", "0.2.1", "0.3.0"}

// odd is a signature that nobody has: Envoy answers with the one that it wants.
const odd = "f64 f32 f64 f32 f64 f32 -> f64"

// wanted is the host's side of Envoy's answer.
var wanted = map[string]*regexp.Regexp{
	"import": regexp.MustCompile(`host exports: (.*)$`),
	"export": regexp.MustCompile(`want: (.*), but the module exports`),
}

// entry is a line of host.txt without the Envoys and ABIs for which it holds.
type entry struct{ kind, module, name, signature string }

type where struct{ envoy, abi string }

type question struct {
	entry  entry
	module testmodule.Module
}

// questions are a module for each name, as an import of each host module or as an export, with a signature that nobody has. WASI is
// the same whatever the ABI of proxy-wasm, and asked for one.
func questions(names []string, abi string) []question {
	var all []question
	for _, name := range names {
		f := testmodule.Function{Name: name, Signature: odd}
		modules := []string{"env"}
		switch {
		case wasi.MatchString(name) && abi != "0.2.0":
			continue
		case wasi.MatchString(name):
			modules = []string{"wasi_snapshot_preview1", "wasi_unstable"}
		}
		for _, module := range modules {
			f.Module = module
			if !strings.HasPrefix(name, "proxy_on_") {
				all = append(all, question{entry{"import", module, name, ""}, testmodule.Module{ABI: abi, Imports: []testmodule.Function{f}}})
			}
		}
		if strings.HasPrefix(name, "proxy_on_") || name == "proxy_validate_configuration" || !strings.HasPrefix(name, "proxy_") && !wasi.MatchString(name) {
			all = append(all, question{entry{"export", "", name, ""}, testmodule.Module{ABI: abi, Exports: []testmodule.Function{f}}})
		}
	}
	return all
}

var wasi = regexp.MustCompile(`^(fd|path|sock|clock|environ|args|random|sched|poll|proc)_`)

func run() error {
	holds := map[where][]entry{}
	names, err := candidates()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(runtime.NumCPU())
	for _, envoy := range istiocompat.TestedEnvoys() {
		ask := func(m testmodule.Module) (string, error) {
			return loadcheck.Check(context.Background(), filepath.Join("../../.tools", "envoy-"+envoy, "envoy"), m.Build())
		}
		for _, abi := range abis {
			answer, err := ask(testmodule.Module{ABI: abi})
			if err != nil {
				return err
			}
			if answer != "" {
				continue // this Envoy does not know the ABI
			}
			holds[where{minor(envoy), abi}] = append(holds[where{minor(envoy), abi}], entry{kind: "abi", name: abi})
			for _, q := range questions(names, abi) {
				group.Go(func() error {
					answer, err := ask(q.module)
					match := wanted[q.entry.kind].FindStringSubmatch(answer)
					if err != nil || match == nil {
						return err
					}
					mu.Lock()
					defer mu.Unlock()
					q.entry.signature = normal(match[1])
					known := []string{abi}
					if wasi.MatchString(q.entry.name) {
						known = []string{"0.1.0", "0.2.0", "0.2.1"}
					}
					for _, abi := range known {
						holds[where{minor(envoy), abi}] = append(holds[where{minor(envoy), abi}], q.entry)
					}
					return nil
				})
			}
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	at := map[entry][]where{}
	for w, entries := range holds {
		for _, e := range entries {
			at[e] = append(at[e], w)
		}
	}

	var lines []string
	for e, places := range at {
		byEnvoy := map[string][]string{}
		for _, w := range places {
			byEnvoy[w.envoy] = append(byEnvoy[w.envoy], w.abi)
		}
		byABIs := map[string][]string{}
		for envoy, list := range byEnvoy {
			slices.Sort(list)
			byABIs[strings.Join(list, ",")] = append(byABIs[strings.Join(list, ",")], envoy)
		}
		for list, envoys := range byABIs {
			slices.Sort(envoys)
			lines = append(lines, strings.Join([]string{e.kind, cmp.Or(e.module, "-"), e.name, list, strings.Join(envoys, ","), e.signature}, " | "))
		}
	}
	slices.Sort(lines)
	header := "# What the Envoys give to a module and want of it: kind | module | name | ABIs | Envoys | signature. Written by hosttable (go generate).\n"
	return os.WriteFile("host.txt", []byte(header+strings.Join(lines, "\n")+"\n"), 0o644)
}

func normal(signature string) string {
	params, results, _ := strings.Cut(signature, "->")
	words := func(s string) string { return strings.Join(strings.Fields(strings.ReplaceAll(s, "void", "")), " ") }
	return strings.TrimSpace(words(params) + " -> " + words(results))
}

func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return parts[0] + "." + parts[1]
}

// nameSyntax is what a name of a host call or callback looks like in the binary of an Envoy.
var nameSyntax = regexp.MustCompile(`\x00((?:proxy|fd|path|sock|clock|environ|args|random|sched|poll|proc|emscripten|pthread)_[a-z0-9_]{2,60})\x00`)

// candidates are the names to ask for: whatever in any Envoy's binary looks like one, and what the C libraries call.
func candidates() ([]string, error) {
	all := []string{"malloc", "free", "_start", "main", "_initialize", "abort", "__main_argc_argv", "emscripten_notify_memory_growth", "pthread_equal", "setTempRet0"}
	for _, envoy := range istiocompat.TestedEnvoys() {
		binary, err := os.ReadFile(filepath.Join("../../.tools", "envoy-"+envoy, "envoy"))
		if err != nil {
			return nil, fmt.Errorf("%w. run \"make envoys\"", err)
		}
		for at := 0; ; {
			match := nameSyntax.FindSubmatchIndex(binary[at:])
			if match == nil {
				break
			}
			all = append(all, string(binary[at+match[2]:at+match[3]]))
			at += match[3] // the NUL may begin the next one
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	fmt.Fprintln(os.Stderr, "hosttable: asking for", len(all), "names")
	return slices.DeleteFunc(all, func(name string) bool { return strings.HasPrefix(name, "proxy_abi_version_") }), nil
}
