//go:build ignore

// Command generate writes istio/: the CRDs of each supported Istio as its module istio.io/api has them, without descriptions.
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// modules are the versions of istio.io/api that stand for each supported minor, oldest first. The last is that of go.mod.
var modules = []struct{ minor, version string }{
	{"1.28", "v1.28.0"},
	{"1.29", "v1.29.0"},
	{"1.30", "v1.30.8"},
	{"1.31", "v1.31.1"},
}

// Of each minor it writes the names of its CRDs, and those CRDs that the next newer minor does not have just so.
func main() {
	log.SetFlags(0)
	out := os.Args[1]
	check(os.RemoveAll(out))
	newer := map[string]string{}
	for _, m := range slices.Backward(modules) {
		check(os.MkdirAll(filepath.Join(out, m.minor), 0o755))
		all := crds(m.version)
		names := slices.Sorted(maps.Keys(all))
		check(os.WriteFile(filepath.Join(out, m.minor, "names.txt"), []byte(strings.Join(names, "\n")+"\n"), 0o644))
		for _, name := range names {
			if all[name] != newer[name] {
				check(os.WriteFile(filepath.Join(out, m.minor, name+".json"), []byte(all[name]), 0o644))
			}
		}
		newer = all
	}
}

// crds are the CRDs of a version, by name.
func crds(version string) map[string]string {
	said, err := exec.Command("go", "mod", "download", "-json", "istio.io/api@"+version).Output()
	check(err)
	var module struct{ Dir string }
	check(json.Unmarshal(said, &module))
	file, err := os.ReadFile(filepath.Join(module.Dir, "kubernetes", "customresourcedefinitions.gen.yaml"))
	check(err)
	all := map[string]string{}
	for _, document := range bytes.Split(file, []byte("\n---\n")) {
		var crd map[string]any
		check(yaml.Unmarshal(document, &crd))
		if crd == nil {
			continue
		}
		withoutDescriptions(crd)
		data, err := json.MarshalIndent(crd, "", " ")
		check(err)
		all[crd["metadata"].(map[string]any)["name"].(string)] = string(data) + "\n"
	}
	return all
}

// withoutDescriptions leaves fields that are called description alone: those are objects.
func withoutDescriptions(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, text := v["description"].(string); text {
			delete(v, "description")
		}
		for _, child := range v {
			withoutDescriptions(child)
		}
	case []any:
		for _, child := range v {
			withoutDescriptions(child)
		}
	}
}

func check(err error) {
	if err != nil {
		log.Fatal("generate: ", err)
	}
}
