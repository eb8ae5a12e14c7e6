// Package scaffold writes what a filter has beside its sources: plugin.yaml and its base, with a priority of its own.
package scaffold

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// Filter is a filter that is not there yet.
type Filter struct {
	Name, Title, Description string
	Licenses                 string // an SPDX expression
	PluginConfig             string // members of spec.pluginConfig, as YAML without indent; none when empty
}

// Check says whether the name is one and nothing of it is at root, the repository.
func (f Filter) Check(root string) error {
	if !catalog.ValidName(f.Name) {
		return cli.Usage("filter %q: want a lower-case letter, then letters, digits and dashes, at most 63", f.Name)
	}
	for _, dir := range []string{"filters/" + f.Name, f.base()} {
		if _, err := os.Lstat(filepath.Join(root, dir)); err == nil {
			return cli.Usage("%s is there. give another name", dir)
		}
	}
	return nil
}

func (f Filter) base() string { return "manifests/base/" + f.Name }

// Files are those beside the sources, by path in the repository at root.
func (f Filter) Files(root string) (map[string][]byte, error) {
	metadata, err := yaml.Marshal(struct {
		Name, Title, Description, Licenses string
		Phases                             []string `yaml:",flow"`
		Istio                              string
		Callouts                           []catalog.Callout `yaml:",flow"`
	}{f.Name, f.Title, f.Description, f.Licenses, []string{"UNSPECIFIED_PHASE"}, ">=1.28", nil})
	if err != nil {
		return nil, err
	}
	highest, err := highestPriority(root)
	if err != nil {
		return nil, err
	}
	plugin := fmt.Appendf(nil, wasmPlugin, f.Name, highest+10)
	if f.PluginConfig != "" {
		plugin = append(plugin, "  pluginConfig:\n"+lineStart.ReplaceAllString(f.PluginConfig, "    ")...)
	}
	return map[string][]byte{
		"filters/" + f.Name + "/" + catalog.File: append(fmt.Appendf(nil, "# This file says what is true of the code; %s/ says how it is deployed.\n", f.base()), metadata...),
		f.base() + "/kustomization.yaml":         []byte("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- wasmplugin.yaml\n"),
		f.base() + "/wasmplugin.yaml":            plugin,
	}, nil
}

var lineStart = regexp.MustCompile(`(?m)^\b`)

const wasmPlugin = `apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata:
  name: %[1]s
spec:
  # A strict reference: an environment replaces it with a pinned image, and the API server refuses what was not replaced.
  url: filter://%[1]s
  imagePullPolicy: IfNotPresent
  # Which workloads run it.
  selector:
    matchLabels:
      app: %[1]s
  match:
  - mode: SERVER
  phase: UNSPECIFIED_PHASE
  # Highest first.
  priority: %[2]d
  # A trap costs the requests in flight; FAIL_CLOSE would then answer 503 on that worker for good.
  failStrategy: FAIL_RELOAD
  pluginName: %[1]s
`

var priorityLine = regexp.MustCompile(`(?m)^  priority: (-?\d+)$`)

// highestPriority is that of all bases: a new one goes above, for equal ones are refused.
func highestPriority(root string) (int, error) {
	files, err := filepath.Glob(filepath.Join(root, "manifests/base/*/*.yaml"))
	if err != nil {
		return 0, err
	}
	highest := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return 0, err
		}
		for _, match := range priorityLine.FindAllSubmatch(data, -1) {
			if n, err := strconv.Atoi(string(match[1])); err == nil {
				highest = max(highest, n)
			}
		}
	}
	return highest, nil
}

// Write writes files, by path below root, and prints the paths. When one cannot be written none stays.
func Write(root string, files map[string][]byte, stdout io.Writer) (err error) {
	var written []string
	defer func() {
		if err != nil {
			for _, path := range slices.Backward(written) {
				err = errors.Join(err, os.Remove(path))
			}
		}
	}()
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		file := filepath.Join(root, name)
		var missing []string
		for dir := filepath.Dir(file); ; dir = filepath.Dir(dir) {
			if _, err := os.Stat(dir); err == nil {
				break
			}
			missing = append(missing, dir)
		}
		for _, dir := range slices.Backward(missing) {
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			written = append(written, dir)
		}
		if err := os.WriteFile(file, files[name], 0o644); err != nil {
			return err
		}
		written = append(written, file)
	}
	for _, name := range names {
		fmt.Fprintln(stdout, name)
	}
	return nil
}
