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
	"golang.org/x/mod/modfile"

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
	for _, dir := range []string{f.folder(), f.base()} {
		if _, err := os.Lstat(filepath.Join(root, dir)); err == nil {
			return cli.Usage("%s is there. give another name", dir)
		}
	}
	return nil
}

func (f Filter) folder() string { return "filters/" + f.Name }
func (f Filter) base() string   { return "manifests/base/" + f.Name }

// Module is the path of the Go module at root, the repository.
func Module(root string) (string, error) {
	data, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("%w. run this from the repository's root, or give --root", err)
	}
	return modfile.ModulePath(data), nil
}

// Write writes the sources, by path in the filter's folder, and what belongs beside them, and prints the path of each file. Who calls
// it has called Check. When a file cannot be written none stays.
func (f Filter) Write(root string, sources map[string][]byte, stdout io.Writer) (err error) {
	files, err := f.described(root)
	if err != nil {
		return err
	}
	for name, data := range sources {
		files[f.folder()+"/"+name] = data
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(filepath.Join(root, f.folder())), os.RemoveAll(filepath.Join(root, f.base())))
		}
	}()
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, files[name], 0o644); err != nil {
			return err
		}
	}
	for _, name := range names {
		fmt.Fprintln(stdout, name)
	}
	return nil
}

// described are plugin.yaml and the base, by path in the repository at root.
func (f Filter) described(root string) (map[string][]byte, error) {
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
		f.folder() + "/" + catalog.File:  append(fmt.Appendf(nil, "# This file says what is true of the code; %s/ says how it is deployed.\n", f.base()), metadata...),
		f.base() + "/kustomization.yaml": []byte("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- wasmplugin.yaml\n"),
		f.base() + "/wasmplugin.yaml":    plugin,
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
