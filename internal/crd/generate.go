//go:build ignore

// Command generate writes istio/*.json: Istio's CRDs as the module istio.io/api has them, without their descriptions.
package main

import (
	"bytes"
	"encoding/json"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

func main() {
	log.SetFlags(0)
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "istio.io/api").Output()
	check(err)
	all, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "kubernetes", "customresourcedefinitions.gen.yaml"))
	check(err)
	out := os.Args[1]
	check(os.RemoveAll(out))
	check(os.MkdirAll(out, 0o755))
	for _, document := range bytes.Split(all, []byte("\n---\n")) {
		var crd map[string]any
		check(yaml.Unmarshal(document, &crd))
		if crd == nil {
			continue
		}
		withoutDescriptions(crd)
		data, err := json.MarshalIndent(crd, "", " ")
		check(err)
		name := crd["metadata"].(map[string]any)["name"].(string)
		check(os.WriteFile(filepath.Join(out, name+".json"), append(data, '\n'), 0o644))
	}
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
