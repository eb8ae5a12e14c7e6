package plugin

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"istio.io/client-go/pkg/apis/extensions/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Load reads the filters of a folder of rendered manifests.
func Load(dir string) ([]*Plugin, error) {
	files, err := Files(dir)
	if err != nil {
		return nil, err
	}
	return Plugins(files)
}

// Files reads the YAML files of a folder and of those below it, by path. The folder of rendered manifests is replaced while it is read; who needs one
// state of it reads twice and compares.
func Files(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ext := filepath.Ext(path); e.IsDir() || ext != ".yaml" && ext != ".yml" {
			return nil
		}
		files[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return files, nil
}

// Plugins reads the filters among the objects of the files, in the order of the filter chain: every WasmPlugin, every
// TrafficExtension of a Wasm module, and the EnvoyFilters that render makes. Other objects are left alone; those are read
// strictly, because the API server would drop a misspelt field silently.
func Plugins(files map[string][]byte) ([]*Plugin, error) {
	var plugins []*Plugin
	seen := map[string]string{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(files[file])))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			p, err := decode(document)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if p == nil {
				continue
			}
			p.File = file
			key := p.Kind + " " + p.ID()
			if other, twice := seen[key]; twice {
				return nil, fmt.Errorf("%s: %s %q is also in %s. remove one", file, p.Kind, p.Name, other)
			}
			seen[key] = file
			plugins = append(plugins, p)
		}
	}
	slices.SortFunc(plugins, Compare)
	return plugins, nil
}

// decode returns nil for what deploys no filter.
func decode(document []byte) (*Plugin, error) {
	var head metav1.TypeMeta
	if err := yaml.Unmarshal(document, &head); err != nil {
		return nil, err
	}
	api := APIOf(head.Kind)
	if api == nil || group(head.APIVersion) != group(api.APIVersion) {
		return nil, nil
	}
	if head.APIVersion != api.APIVersion {
		return nil, fmt.Errorf("%s of apiVersion %q: want %s", head.Kind, head.APIVersion, api.APIVersion)
	}
	// The generated types forgive unknown fields of the spec, so it is decoded on its own.
	var object struct {
		metav1.TypeMeta `json:",inline"`
		Metadata        metav1.ObjectMeta `json:"metadata"`
		Spec            json.RawMessage   `json:"spec"`
		Status          json.RawMessage   `json:"status"`
	}
	if err := yaml.UnmarshalStrict(document, &object); err != nil {
		return nil, err
	}
	if object.Metadata.Name == "" {
		return nil, fmt.Errorf("%s without metadata.name", head.Kind)
	}
	plugin := &Plugin{WasmPlugin: &v1alpha1.WasmPlugin{TypeMeta: object.TypeMeta, ObjectMeta: object.Metadata}}
	ok, err := plugin.decodeSpec(api, object.Spec)
	if err != nil {
		return nil, fmt.Errorf("%s %q: spec: %s", head.Kind, plugin.Name, protoPrefix.ReplaceAllString(err.Error(), ""))
	}
	if !ok {
		return nil, nil
	}
	return plugin, nil
}

// decodeSpec reads the spec of the API into that of a WasmPlugin; false when it deploys no module.
func (p *Plugin) decodeSpec(api *API, spec json.RawMessage) (bool, error) {
	if len(spec) == 0 {
		return api == WasmPlugin, nil
	}
	return api.decode(p, spec)
}

func group(apiVersion string) string {
	g, _, _ := strings.Cut(apiVersion, "/")
	return g
}

// protoPrefix is where protojson counts lines: in JSON that the user never saw, after a space of changing kind.
var protoPrefix = regexp.MustCompile(`^proto:[\s\p{Zs}]*(syntax error )?(\(line \d+:\d+\): )?`)
