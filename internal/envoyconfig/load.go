package envoyconfig

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"istio.io/client-go/pkg/apis/extensions/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const group = "extensions.istio.io"

// Load reads the WasmPlugins of a folder of rendered manifests.
func Load(dir string) ([]*Plugin, error) {
	files, err := Files(dir)
	if err != nil {
		return nil, err
	}
	return Plugins(files)
}

// Files reads the YAML files of a folder, by path. The folder of rendered manifests is replaced while it is read; who needs one
// state of it reads twice and compares.
func Files(dir string) (map[string][]byte, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); e.IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		path := filepath.Join(dir, e.Name())
		if files[path], err = os.ReadFile(path); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Plugins reads the WasmPlugins among the objects of the files, in the order of the filter chain. Other kinds are left alone;
// a WasmPlugin is read strictly, because the API server would drop a misspelt field silently.
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
			object, err := decode(document)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			if object == nil {
				continue
			}
			p := &Plugin{File: file, WasmPlugin: object}
			if other, twice := seen[p.ID()]; twice {
				return nil, fmt.Errorf("%s: WasmPlugin %q is also in %s. remove one", file, p.Name, other)
			}
			seen[p.ID()] = file
			plugins = append(plugins, p)
		}
	}
	slices.SortFunc(plugins, Compare)
	return plugins, nil
}

// decode returns nil for what is no WasmPlugin.
func decode(document []byte) (*v1alpha1.WasmPlugin, error) {
	var head metav1.TypeMeta
	if err := yaml.Unmarshal(document, &head); err != nil {
		return nil, err
	}
	if g, _, _ := strings.Cut(head.APIVersion, "/"); g != group || head.Kind != "WasmPlugin" {
		return nil, nil
	}
	if want := v1alpha1.SchemeGroupVersion.String(); head.APIVersion != want {
		return nil, fmt.Errorf("WasmPlugin of apiVersion %q: want %s", head.APIVersion, want)
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
		return nil, errors.New("WasmPlugin without metadata.name")
	}
	plugin := &v1alpha1.WasmPlugin{TypeMeta: object.TypeMeta, ObjectMeta: object.Metadata}
	if len(object.Spec) > 0 {
		if err := protojson.Unmarshal(object.Spec, &plugin.Spec); err != nil {
			return nil, fmt.Errorf("WasmPlugin %q: spec: %s", plugin.Name, protoPrefix.ReplaceAllString(err.Error(), ""))
		}
	}
	return plugin, nil
}

// protoPrefix is where protojson counts lines: in JSON that the user never saw, after a space of changing kind.
var protoPrefix = regexp.MustCompile(`^proto:[\s\p{Zs}]*(syntax error )?(\(line \d+:\d+\): )?`)
