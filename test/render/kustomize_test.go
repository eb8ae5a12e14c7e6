//go:build envoy

package render

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// kustomize runs the pinned command line.
func kustomize(t *testing.T, args ...string) (stdout string, err error) {
	program, globErr := filepath.Glob(filepath.Join(repository, ".tools/kustomize-v*"))
	require.NoError(t, globErr)
	require.NotEmpty(t, program, `no kustomize in .tools. run the tests with "make test"`)
	cmd := exec.Command(program[0], args...)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w: %s", err, &stderr)
	}
	return out.String(), nil
}

var repository, _ = filepath.Abs("../..")

func build(t *testing.T, env manifests.Environment) []manifests.Object {
	r, err := manifests.Build(env, nil, func(string) {})
	require.NoError(t, err)
	return r.Objects
}

// stream is how kustomize prints objects.
func stream(objects []manifests.Object) string {
	var all []string
	for _, o := range objects {
		all = append(all, string(o.YAML))
	}
	return strings.Join(all, "---\n")
}

// The committed environments: the stream, and one file an object.
func TestSameAsKustomize(t *testing.T) {
	envs, err := manifests.All("../../manifests")
	require.NoError(t, err)
	for _, env := range envs {
		t.Run(env.Name, func(t *testing.T) {
			objects := build(t, env)
			want, err := kustomize(t, "build", env.Dir)
			require.NoError(t, err)
			require.Equal(t, want, stream(objects))

			sameFiles(t, env, objects)
		})
	}
}

// sameFiles compares with the files that kustomize writes. It puts a namespace before the name where there are several, and render
// makes a folder of it.
func sameFiles(t *testing.T, env manifests.Environment, objects []manifests.Object) {
	dir := t.TempDir()
	_, err := kustomize(t, "build", env.Dir, "-o", dir)
	require.NoError(t, err)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, objects, len(entries))
	for _, o := range objects {
		want, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(o.File, "/", "_")))
		require.NoError(t, err)
		require.Equal(t, string(want), string(o.YAML), o.File)
	}
}

// An environment of namespaces: kustomize builds all of it, and each namespace alone, to the same bytes as render.
func TestNamespacesAreSameAsKustomize(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, 3)
	overlay := filepath.Join(dir, "manifests/overlays/home")
	write(t, filepath.Join(overlay, "kustomization.yaml"), "resources: [shop, pay]\n")
	write(t, filepath.Join(overlay, "shop/kustomization.yaml"), "namespace: shop\nresources: [../../../base/f0, ../../../base/f1]\ncomponents: [../digests]\n")
	// f1 of this namespace alone is another version.
	write(t, filepath.Join(overlay, "pay/kustomization.yaml"), "namespace: pay\nresources: [../../../base/f1, ../../../base/f2]\ncomponents: [digests, ../digests]\n")
	write(t, filepath.Join(overlay, "pay/digests/kustomization.yaml"), "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncomponents: [../../../../components/filter-image]\nimages:\n"+
		"- {name: 'filter://f1', newName: 'oci://r.example/f1', newTag: v0, digest: '"+digest+"'}\n")
	env, err := manifests.Load(filepath.Join(dir, "manifests"), "home")
	require.NoError(t, err)
	objects := build(t, env)
	want, err := kustomize(t, "build", env.Dir)
	require.NoError(t, err)
	require.Equal(t, want, stream(objects))
	sameFiles(t, env, objects)
	namespaces, err := env.Namespaces()
	require.NoError(t, err)
	require.Equal(t, []string{"shop", "pay"}, namespaces, "in the order of resources")
	for _, namespace := range namespaces {
		want, err := kustomize(t, "build", filepath.Join(env.Dir, namespace))
		require.NoError(t, err)
		var own []manifests.Object
		for _, o := range objects {
			if filepath.Dir(o.File) == namespace {
				own = append(own, o)
			}
		}
		require.NotEmpty(t, own)
		require.Equal(t, want, stream(own), namespace)
	}
}

// Many plugins are built in chunks, and what could reach from one chunk into another is built as a whole: the bytes are
// kustomize's in both cases.
func TestChunksAreSameAsKustomize(t *testing.T) {
	for name, c := range map[string]struct {
		overlay map[string]string // files of the overlay; "kustomization.yaml" is appended to
		first   string            // appended to the kustomization of the first base
		more    map[string]string // more files of the first base
		chunked bool
		fails   bool
	}{
		"plain":               {chunked: true},
		"namespace":           {overlay: map[string]string{"kustomization.yaml": "namespace: other\n"}, chunked: true},
		"base of two objects": {first: "resources: [wasmplugin.yaml, entry.yaml]\n", more: map[string]string{"entry.yaml": serviceEntry("z-entry", "a")}, chunked: true},
		"namespaces that sort oddly": {
			first: "resources: [wasmplugin.yaml, entry.yaml]\n", more: map[string]string{"entry.yaml": serviceEntry("same", "web-a") + "---\n" + serviceEntry("same", "web")}, chunked: true,
		},
		"image by name": {overlay: map[string]string{"kustomization.yaml": "images: [{name: filter://f3, newName: oci://other.example/f3, digest: " + digest + "}]\n"}, chunked: true},
		"image by expression": {
			overlay: map[string]string{"kustomization.yaml": "images: [{name: 'filter://f1.', newName: oci://other.example/f, digest: " + digest + "}]\n"}, chunked: true,
		},
		"patch in place": {overlay: map[string]string{"kustomization.yaml": "patches:\n- patch: |\n    " + indent(patch("f17")) + "\n"}, chunked: true},
		"two patches of one object": {
			overlay: map[string]string{"kustomization.yaml": "patches: [{path: a.yaml}, {path: b.yaml}]\n", "a.yaml": patch("f9"), "b.yaml": strings.ReplaceAll(patch("f9"), "value: x", "value: z")}, chunked: true,
		},
		"patch of objects in two chunks":   {overlay: map[string]string{"kustomization.yaml": "patches: [{path: a.yaml}]\n", "a.yaml": patch("f1") + "---\n" + patch("f19")}},
		"patch by selector":                {overlay: map[string]string{"kustomization.yaml": "patches: [{target: {kind: WasmPlugin}, path: a.yaml}]\n", "a.yaml": "- {op: replace, path: /spec/priority, value: 99}\n"}},
		"prefix":                           {overlay: map[string]string{"kustomization.yaml": "namePrefix: team-\n"}},
		"prefix in a base":                 {first: "namePrefix: team-\n"},
		"labels":                           {overlay: map[string]string{"kustomization.yaml": "labels: [{pairs: {a: b}}]\n"}},
		"generator":                        {first: "configMapGenerator: [{name: c, literals: [a=b]}]\n"},
		"another kind":                     {first: "resources: [wasmplugin.yaml, secret.yaml]\n", more: map[string]string{"secret.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"}},
		"order of the kustomization's own": {overlay: map[string]string{"kustomization.yaml": "sortOptions: {order: fifo}\n"}},
		"replacement": {overlay: map[string]string{"kustomization.yaml": `replacements:
- source: {kind: WasmPlugin, name: f1, fieldPath: metadata.name}
  targets: [{select: {kind: WasmPlugin, name: f18}, fieldPaths: [spec.pluginConfig.value]}]
`}},
		"one object twice":         {first: "resources: [wasmplugin.yaml, again.yaml]\n", more: map[string]string{"again.yaml": wasmPlugin("f19", 0)}, fails: true},
		"patch of no object":       {overlay: map[string]string{"kustomization.yaml": "patches: [{path: a.yaml}]\n", "a.yaml": patch("missing")}, fails: true},
		"component that is a base": {overlay: map[string]string{"kustomization.yaml": "components: [../../base/f1]\n"}, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			write := func(path, text string) { write(t, path, text) }
			tree(t, ".", 20)
			if c.first != "" {
				text := "resources: [wasmplugin.yaml]\n" + c.first
				if strings.HasPrefix(c.first, "resources:") {
					text = c.first
				}
				write("manifests/base/f0/kustomization.yaml", text)
			}
			for file, text := range c.more {
				write("manifests/base/f0/"+file, text)
			}
			for file, text := range c.overlay {
				write("manifests/overlays/home/"+file, text)
			}
			own := c.overlay["kustomization.yaml"]
			text := "resources:\n" + each(20, "- ../../base/f%d\n")
			if !strings.Contains(own, "components:") {
				text += "components: [digests]\n"
			}
			if !strings.Contains(own, "patches:") {
				text += "patches:\n" + each(20, "- path: f%d.yaml\n")
			}
			write("manifests/overlays/home/kustomization.yaml", text+own)

			env, err := manifests.Load("manifests", "home")
			require.NoError(t, err)
			want, wantErr := kustomize(t, "build", env.Dir)
			chunks := 0
			r, err := manifests.Build(env, nil, func(what string) {
				if strings.HasSuffix(what, "/20") {
					chunks++
				}
			})
			if c.fails {
				require.Error(t, wantErr)
				require.Error(t, err)
				return
			}
			require.NoError(t, wantErr)
			require.NoError(t, err)
			require.Equal(t, want, stream(r.Objects))
			require.Equal(t, c.chunked, chunks == 3, "%d chunks", chunks)
		})
	}
}

func serviceEntry(name, namespace string) string {
	return fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: %s, namespace: %s}\nspec: {hosts: [a.example]}\n", name, namespace)
}

func indent(text string) string {
	return strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ")
}
