// Command fleet times what people and CI do in a tree of 5 and in one of 50 filters, each with 40 namespaces and 5 environments: whether
// a filter costs more among many.
package main

import (
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

const (
	environments = 5
	namespaces   = 40
	spread       = 8 // of the namespaces run each filter
)

func main() { os.Exit(command().Main(os.Args[1:], os.Stdout, os.Stderr)) }

func command() cli.Command {
	var root string
	var rounds, few, many int
	return cli.Command{
		Name: "fleet",
		About: `Prints lines of CSV: seconds of each verb in a tree of 5 filters and in one of 50, medians of rounds that alternate. It compiles 55
filters first, which takes some minutes, and wants bin/ and .tools/ to be there.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&root, "root", "..", "`folder` of the repository")
			f.IntVar(&rounds, "rounds", 5, "`number` of times that each verb runs in each tree")
			f.IntVar(&few, "few", 5, "`number` of filters in the small tree")
			f.IntVar(&many, "many", 50, "`number` of filters in the large one")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) != 0 || rounds < 1 || few < 1 || few >= many || many > 99 {
				return cli.Usage("want no arguments, and 0 < few < many < 100")
			}
			progress := cli.NewProgress(stderr)
			defer progress.End()
			dir, err := os.MkdirTemp("", "bench-fleet-*")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			if root, err = filepath.Abs(root); err != nil {
				return err
			}
			server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
			defer server.Close()
			var trees []*tree
			for _, n := range []int{few, many} {
				progress.Step(fmt.Sprintf("building %d filters", n))
				t := &tree{filepath.Join(dir, fmt.Sprint(n)), n, strings.TrimPrefix(server.URL, "http://") + fmt.Sprintf("/tree%d", n)}
				if err := t.make(ctx, root); err != nil {
					return err
				}
				trees = append(trees, t)
			}
			return measure(ctx, trees[0], trees[1], rounds, stdout, progress)
		},
	}
}

func measure(ctx context.Context, few, many *tree, rounds int, stdout io.Writer, progress cli.Progress) error {
	times := map[string]map[int][]float64{}
	for range rounds {
		for _, t := range []*tree{few, many} {
			for _, v := range verbs {
				progress.Step(fmt.Sprintf("%s, %d filters", v.name, t.filters))
				if err := t.bash(ctx, v.before); err != nil {
					return err
				}
				began := time.Now()
				if err := t.bash(ctx, v.timed); err != nil {
					return err
				}
				if times[v.name] == nil {
					times[v.name] = map[int][]float64{}
				}
				times[v.name][t.filters] = append(times[v.name][t.filters], time.Since(began).Seconds())
			}
		}
	}
	c := csv.NewWriter(stdout)
	_ = c.Write([]string{"verb", "few", "many", "s_of_few", "s_of_many", "one_among_many_over_one_among_few", "s_of_one_more"}) // Error has it
	for _, v := range verbs {
		x, y := float64(few.filters), float64(many.filters)
		a, b := median(times[v.name][few.filters]), median(times[v.name][many.filters])
		line := []string{v.name, fmt.Sprint(few.filters), fmt.Sprint(many.filters)}
		for _, n := range []float64{a, b, b / y / (a / x), (b - a) / (y - x)} {
			line = append(line, strconv.FormatFloat(n, 'f', 3, 64))
		}
		_ = c.Write(line)
	}
	c.Flush()
	return c.Error()
}

// verbs are what is timed, and what makes the tree ready for it: what promote writes is taken back, so that each round does the same.
var verbs = []struct{ name, before, timed string }{
	{"make build, nothing changed", "", "make -s build"},
	{"publish, nothing changed", "", `bin/wasmfleet publish --repo "$REPO" --version v1 $FILTERS`},
	{"render, five environments", "", "bin/wasmfleet render"},
	{"promote, each pin changes", "git checkout -q manifests", "bin/wasmfleet promote --allow-loopback --to e1"},
	{"diff, after that promote", "", "bin/wasmfleet diff --against ../before --format markdown || test $? = 1"},
	{"status", "git checkout -q manifests", "bin/wasmfleet status"},
}

// A tree is a copy of the repository with other filters and manifests.
type tree struct {
	dir     string
	filters int
	repo    string
}

// make has all environments but the first run v0 of each filter, and the first v1.
func (t *tree) make(ctx context.Context, root string) error {
	if err := os.Mkdir(t.dir, 0o755); err != nil {
		return err
	}
	if err := t.bash(ctx, `git -C "$0" archive HEAD | tar -x
mkdir bin && cp "$0"/bin/filterbuild "$0"/bin/wasmfleet bin && touch bin/* && ln -s "$0/.tools" .tools
find filters -mindepth 1 -maxdepth 1 ! -name internal -exec rm -r {} +
rm -rf manifests/argocd manifests/base manifests/overlays manifests/rendered
mkdir -p manifests/overlays/e0
printf 'upstream: none\nistio: "1.31"\n' >manifests/overlays/e0/environment.yaml
git init -q -b main .
for f in $FILTERS; do bin/wasmfleet new $f; done`, root); err != nil {
		return err
	}
	if err := t.overlays(); err != nil {
		return err
	}
	return t.bash(ctx, `export GIT_AUTHOR_NAME=bench GIT_AUTHOR_EMAIL=bench@localhost GIT_COMMITTER_NAME=bench GIT_COMMITTER_EMAIL=bench@localhost
make -s build
for v in v0 v1; do
  bin/wasmfleet publish --repo "$REPO" --version $v --refs build/refs $FILTERS
  bin/wasmfleet promote --allow-loopback --refs build/refs --to e0
  git add -A && git commit -qm "e0: $v"
  for e in 1 2 3 4; do [ $v = v1 ] || { bin/wasmfleet promote --allow-loopback --to e$e && git add -A && git commit -qm "e$e: $v"; }; done
done
cp -R manifests/rendered ../before`)
}

// overlays are the environments with a folder for each namespace.
func (t *tree) overlays() error {
	for e := range environments {
		dir := filepath.Join(t.dir, "manifests", "overlays", fmt.Sprintf("e%d", e))
		upstream := "none"
		if e > 0 {
			upstream = fmt.Sprintf("e%d", e-1)
		}
		var folders strings.Builder
		files := map[string]string{
			"environment.yaml":           fmt.Sprintf("upstream: %s\nistio: \"1.31\"\n", upstream),
			"digests/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncomponents:\n- ../../../components/filter-image\n",
		}
		for n := range namespaces {
			var lines strings.Builder
			for f := range t.filters {
				if (n-f*spread%namespaces+namespaces)%namespaces < spread {
					fmt.Fprintf(&lines, "- ../../../base/%s\n", name(f))
				}
			}
			if lines.Len() == 0 {
				continue
			}
			fmt.Fprintf(&folders, "- web-%d\n", n)
			files[fmt.Sprintf("web-%d/kustomization.yaml", n)] = fmt.Sprintf(
				"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: web-%d-e%d\nresources:\n%scomponents:\n- ../digests\n", n, e, &lines)
		}
		files["kustomization.yaml"] = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n" + folders.String()
		for name, content := range files {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func name(filter int) string { return fmt.Sprintf("filter%02d", filter) }

func (t *tree) bash(ctx context.Context, script string, args ...string) error {
	if script == "" {
		return nil
	}
	var filters []string
	for f := range t.filters {
		filters = append(filters, name(f))
	}
	cmd := exec.CommandContext(ctx, "bash", append([]string{"-euo", "pipefail", "-c", script}, args...)...)
	cmd.Dir = t.dir
	cmd.Env = append(os.Environ(), "REPO="+t.repo, "FILTERS="+strings.Join(filters, " "))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}
