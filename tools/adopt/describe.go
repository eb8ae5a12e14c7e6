package adopt

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// described are the files beside the sources: what the filter is and how it is deployed, by path.
func (o options) described(s *source) (map[string][]byte, error) {
	metadata, err := yaml.Marshal(struct {
		Name, Title, Description, Licenses string
		Phases                             []string `yaml:",flow"`
		Istio                              string
		Callouts                           []catalog.Callout `yaml:",flow"`
	}{o.name, title(s, o.name), sentence(s, o.name), o.licenses, []string{"UNSPECIFIED_PHASE"}, ">=1.28", nil})
	if err != nil {
		return nil, err
	}
	priority, err := o.priority()
	if err != nil {
		return nil, err
	}
	base := "manifests/base/" + o.name
	files := map[string][]byte{
		"filters/" + o.name + "/" + catalog.File: append(fmt.Appendf(nil, "# This file says what is true of the code; %s/ says how it is deployed.\n", base), metadata...),
		base + "/kustomization.yaml":             []byte("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- wasmplugin.yaml\n"),
		base + "/wasmplugin.yaml":                fmt.Appendf(nil, wasmPlugin, o.name, priority),
	}
	for name := range files {
		if _, err := os.Stat(filepath.Join(o.root, name)); err == nil && !strings.HasPrefix(name, "filters/") {
			return nil, cli.Usage("%s is there. give another --name", name)
		}
	}
	return files, nil
}

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

// priority is above that of every other base: equal ones are refused.
func (o options) priority() (int, error) {
	files, err := filepath.Glob(filepath.Join(o.root, "manifests/base/*/*.yaml"))
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
	return highest + 10, nil
}

// sentence is the first of the package's documentation.
func sentence(s *source, name string) string {
	text := strings.Join(strings.Fields(s.doc), " ")
	if first, _, ok := strings.Cut(text, ". "); ok {
		text = first + "."
	}
	if text == "" {
		return "The filter " + name + "."
	}
	return text
}

func title(s *source, name string) string {
	if s.module == "" {
		return name
	}
	return name + ", from " + s.module
}
