// Command render times render beside `kustomize build` over trees of 1 to 1000 plugins: the same overlay, whose bytes must come out
// equal. Render also applies every rule, checks the CRDs' schemas and writes the files.
//
// The two are interleaved, and what counts is the ratio inside a round: the machine's speed drifts.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sizes are the trees, the rounds that each is worth and the goal of its ratio.
var sizes = []struct {
	plugins, rounds int
	goal            float64
}{{1, 21, 1.0}, {10, 21, 0.9}, {100, 5, 0.5}, {1000, 1, 0.2}}

// growth is the goal of what a plugin costs among 1000 over what it costs among 10.
const growth = 1.2

func main() {
	kustomize := flag.String("kustomize", "", "path of kustomize")
	wasmfleet := flag.String("wasmfleet", "../bin/wasmfleet", "path of wasmfleet")
	components := flag.String("components", "../manifests/components", "the components that an overlay uses")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *kustomize, *wasmfleet, *components)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(3)
	}
}

func run(ctx context.Context, kustomize, wasmfleet, components string) error {
	dir, err := os.MkdirTemp("", "bench-render-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("%7s %7s %14s %11s %22s %14s\n", "plugins", "rounds", "kustomize ms", "render ms", "render / kustomize", "render MiB")
	each := map[int]float64{}
	for _, size := range sizes {
		manifests := filepath.Join(dir, fmt.Sprint(size.plugins))
		if err := tree(manifests, components, size.plugins); err != nil {
			return err
		}
		var theirs, ours, ratios []float64
		var peak int64
		for range size.rounds {
			want, t, _, err := timed(ctx, kustomize, "build", filepath.Join(manifests, "overlays", "dev"))
			if err != nil {
				return err
			}
			if err := os.RemoveAll(filepath.Join(manifests, "rendered")); err != nil {
				return err
			}
			_, o, kib, err := timed(ctx, wasmfleet, "render", "--dir", manifests, "--filters", dir, "dev")
			if err != nil {
				return err
			}
			got, err := rendered(manifests)
			if err != nil {
				return err
			}
			if got != string(want) {
				return errors.New("render and kustomize differ: " + manifests)
			}
			theirs, ours, ratios, peak = append(theirs, t), append(ours, o), append(ratios, o/t), max(peak, kib)
		}
		each[size.plugins] = median(ours) / float64(size.plugins)
		fmt.Printf("%7d %7d %14.0f %11.0f %10.2f %s %14d\n", size.plugins, size.rounds, 1000*median(theirs), 1000*median(ours), median(ratios), verdict(median(ratios), size.goal), peak>>10)
	}
	ratio := each[1000] / each[10]
	fmt.Printf("a plugin among 1000 costs %.2f of one among 10 %s\n", ratio, verdict(ratio, growth))
	return nil
}

func verdict(got, goal float64) string {
	return fmt.Sprintf("(goal %.1f: %s)", goal, map[bool]string{true: "met", false: "missed"}[got <= goal])
}

// timed runs a program and gives its output, the seconds it took and its largest memory in KiB.
func timed(ctx context.Context, program string, args ...string) ([]byte, float64, int64, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		return nil, 0, 0, fmt.Errorf("%s: %w: %s%s", filepath.Base(program), err, &stderr, &out)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return nil, 0, 0, errors.New("no resource usage on this system")
	}
	return out.Bytes(), time.Since(start).Seconds(), usage.Maxrss, nil
}

// rendered is the files as one stream, in kustomize's order, which among WasmPlugins of one namespace is that of the names.
func rendered(manifests string) (string, error) {
	files, err := filepath.Glob(filepath.Join(manifests, "rendered", "dev", "*.yaml"))
	if err != nil {
		return "", err
	}
	slices.SortFunc(files, func(a, b string) int {
		return strings.Compare(strings.TrimSuffix(a, ".yaml"), strings.TrimSuffix(b, ".yaml"))
	})
	var all []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		all = append(all, string(text))
	}
	return strings.Join(all, "---\n"), nil
}

// tree writes an environment of that many plugins as a user has it: a base, a patch and a pin for each.
func tree(manifests, components string, plugins int) error {
	if err := os.CopyFS(filepath.Join(manifests, "components"), os.DirFS(components)); err != nil {
		return err
	}
	var resources, patches, images strings.Builder
	files := map[string]string{"overlays/dev/environment.yaml": "upstream: none\nistio: \"1.31\"\n"}
	for i := range plugins {
		name := fmt.Sprintf("filter%d", i)
		files["base/"+name+"/kustomization.yaml"] = "resources: [wasmplugin.yaml]\n"
		files["base/"+name+"/wasmplugin.yaml"] = fmt.Sprintf(`apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata:
  name: %s
spec:
  url: filter://%[1]s
  imagePullPolicy: IfNotPresent
  selector: {matchLabels: {app: web}}
  match: [{mode: SERVER}]
  phase: STATS
  priority: %d
  failStrategy: FAIL_RELOAD
  pluginName: %[1]s
  pluginConfig: {name: hello, value: world}
`, name, i)
		files["overlays/dev/"+name+".yaml"] = fmt.Sprintf("apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: %s}\nspec: {pluginConfig: {value: dev}}\n", name)
		fmt.Fprintf(&resources, "- ../../base/%s\n", name)
		fmt.Fprintf(&patches, "- path: %s.yaml\n", name)
		fmt.Fprintf(&images, "- {name: 'filter://%s', newName: 'oci://r.example/%[1]s', newTag: v1, digest: 'sha256:%s'}\n", name, strings.Repeat("a", 64))
	}
	files["overlays/dev/kustomization.yaml"] = "namespace: web\nresources:\n" + resources.String() + "components: [digests]\npatches:\n" + patches.String()
	files["overlays/dev/digests/kustomization.yaml"] = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncomponents: [../../../components/filter-image]\nimages:\n" + images.String()
	for file, text := range files {
		path := filepath.Join(manifests, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
