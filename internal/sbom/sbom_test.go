package sbom

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
)

// version is that of a module in this repository's go.mod.
func version(t *testing.T, module string) string {
	t.Helper()
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Version}}", module)
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

func bill(t *testing.T, packages ...string) (names []string, text string) {
	t.Helper()
	dir := t.TempDir()
	yaml := "abi: 0.2.0\ncapabilities: []\npackages:\n"
	for _, p := range packages {
		yaml += "- " + p + "\n"
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, catalog.ModuleFile), []byte(yaml), 0o644))
	data, err := Of("../..", catalog.Filter{Dir: dir, Name: "demo", Title: "A demonstration", Licenses: "Apache-2.0"}, []byte("module"))
	require.NoError(t, err)
	var bom struct {
		BOMFormat    string
		SerialNumber string
		Metadata     struct{ Timestamp string }
		Components   []struct {
			Name     string
			Licenses []struct{ License struct{ ID, Name string } }
		}
		Dependencies []struct{ DependsOn []string }
	}
	require.NoError(t, json.Unmarshal(data, &bom))
	require.Equal(t, "CycloneDX", bom.BOMFormat)
	require.Empty(t, bom.SerialNumber+bom.Metadata.Timestamp, "nothing that differs from one run to the next")
	require.Len(t, bom.Dependencies[0].DependsOn, len(bom.Components))
	for _, c := range bom.Components {
		require.NotEmpty(t, c.Licenses, c.Name)
		require.NotEmpty(t, c.Licenses[0].License.ID, c.Name)
		names = append(names, c.Name)
	}
	return names, string(data)
}

// The modules that own a package are the components, each once; without its last package a module is none.
func TestComponents(t *testing.T) {
	const testify, yaml = "github.com/stretchr/testify", "go.yaml.in/yaml/v3"
	a, b, own := testify+"/require "+version(t, testify), yaml+" "+version(t, yaml), "github.com/wasmfleet/wasmfleet/filters/demo"
	names, text := bill(t, a, testify+"/assert "+version(t, testify), b, own)
	require.Equal(t, []string{testify, yaml, "std"}, names)
	_, again := bill(t, own, b, testify+"/assert "+version(t, testify), a)
	require.Equal(t, text, again, "the order of packages decides nothing")
	names, _ = bill(t, a, own)
	require.Equal(t, []string{testify, "std"}, names)
}

func TestUnknownPackages(t *testing.T) {
	for packages, want := range map[string]string{
		"example.com/nowhere v1.0.0":         "package example.com/nowhere is in no module of go.mod. run make build",
		"github.com/stretchr/testify v0.0.1": "is of v0.0.1, and go.mod has",
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, catalog.ModuleFile), []byte("packages:\n- "+packages+"\n"), 0o644))
		_, err := Of("../..", catalog.Filter{Dir: dir, Name: "demo"}, nil)
		require.ErrorContains(t, err, want)
	}
}

// The schema is CycloneDX's own, as cyclonedx-go carries it.
func TestSchema(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/CycloneDX/cyclonedx-go").Output()
	require.NoError(t, err)
	schemas, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "schema", "*.schema*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, schemas)
	c := jsonschema.NewCompiler()
	const base = "http://cyclonedx.org/schema/"
	for _, file := range schemas {
		f, err := os.Open(file)
		require.NoError(t, err)
		doc, err := jsonschema.UnmarshalJSON(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.NoError(t, c.AddResource(base+strings.Replace(filepath.Base(file), "schemax", "schema", 1), doc))
	}
	schema, err := c.Compile(base + "bom-1.6.schema.json")
	require.NoError(t, err)
	_, text := bill(t, "github.com/stretchr/testify/require "+version(t, "github.com/stretchr/testify"))
	validate := func(text string) error {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		require.NoError(t, err)
		return schema.Validate(doc)
	}
	require.NoError(t, validate(text))
	require.Error(t, validate(strings.Replace(text, `"CycloneDX"`, `"Cyclone"`, 1)))
}
