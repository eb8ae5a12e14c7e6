package sbom

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
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

// buildInfo is that of the tools, built from this tree: Go writes none into a test.
func buildInfo(t *testing.T) *debug.BuildInfo {
	t.Helper()
	file := filepath.Join(t.TempDir(), "wasmfleet")
	out, err := exec.Command("go", "build", "-trimpath", "-o", file, "../../tools/wasmfleet").CombinedOutput()
	require.NoError(t, err, string(out))
	info, err := buildinfo.ReadFile(file)
	require.NoError(t, err)
	require.NotEmpty(t, info.Deps)
	return info
}

// What is linked into a program is listed, each module once and with its licence; what replaces a module is named in its place.
func TestProgram(t *testing.T) {
	info := buildInfo(t)
	text, err := Program("../..", info, []byte("program"))
	require.NoError(t, err)
	var bom struct {
		SerialNumber string
		Metadata     struct {
			Timestamp string
			Component struct {
				Name   string
				Hashes []struct{ Content string }
			}
		}
		Components []struct {
			Name, Version, PURL string
			Licenses            []struct{ License struct{ ID string } }
		}
	}
	require.NoError(t, json.Unmarshal(text, &bom))
	require.Empty(t, bom.SerialNumber+bom.Metadata.Timestamp)
	require.Equal(t, info.Path, bom.Metadata.Component.Name)
	require.Equal(t, fmt.Sprintf("%x", sha256.Sum256([]byte("program"))), bom.Metadata.Component.Hashes[0].Content)
	want := map[string]string{"std": strings.TrimPrefix(info.GoVersion, "go")}
	for _, m := range info.Deps {
		want[m.Path] = m.Version
	}
	got := map[string]string{}
	for _, c := range bom.Components {
		got[c.Name] = c.Version
		require.NotEmpty(t, c.Licenses[0].License.ID, c.Name)
		require.NotContains(t, c.PURL, "+")
	}
	require.Equal(t, want, got)
	require.Len(t, bom.Components, len(want))

	backwards := *info
	backwards.Deps = slices.Clone(info.Deps)
	slices.Reverse(backwards.Deps)
	again, err := Program("../..", &backwards, []byte("program"))
	require.NoError(t, err)
	require.Equal(t, string(text), string(again), "the order of modules decides nothing")

	text, err = Program("../..", &debug.BuildInfo{Path: "x", Deps: []*debug.Module{{Path: "example.com/a", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/b", Version: "v2.0.0+incompatible"}}}}, nil)
	require.NoError(t, err)
	require.Contains(t, string(text), "pkg:golang/example.com/b@v2.0.0%2Bincompatible")
	require.NotContains(t, string(text), "example.com/a")
	require.Contains(t, string(text), "NOASSERTION")
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
	program, err := Program("../..", &debug.BuildInfo{Path: "x", GoVersion: "go1.26.0", Deps: []*debug.Module{
		{Path: "github.com/stretchr/testify", Version: version(t, "github.com/stretchr/testify")}, {Path: "example.com/a", Version: "v1.0.0+incompatible"},
	}}, nil)
	require.NoError(t, err)
	_, text := bill(t, "github.com/stretchr/testify/require "+version(t, "github.com/stretchr/testify"))
	validate := func(text string) error {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		require.NoError(t, err)
		return schema.Validate(doc)
	}
	require.NoError(t, validate(text))
	require.NoError(t, validate(string(program)))
	require.Error(t, validate(strings.Replace(text, `"CycloneDX"`, `"Cyclone"`, 1)))
}
