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

// stream is how kustomize prints objects.
func stream(objects []object) string {
	var all []string
	for _, o := range objects {
		all = append(all, string(o.yaml))
	}
	return strings.Join(all, "---\n")
}

// The committed environments: the stream, and one file an object.
func TestSameAsKustomize(t *testing.T) {
	envs, err := manifests.All("../../manifests")
	require.NoError(t, err)
	for _, env := range envs {
		t.Run(env.Name, func(t *testing.T) {
			objects, _, err := build(env, progress{})
			require.NoError(t, err)
			want, err := kustomize(t, "build", env.Dir)
			require.NoError(t, err)
			require.Equal(t, want, stream(objects))

			dir := t.TempDir()
			_, err = kustomize(t, "build", env.Dir, "-o", dir)
			require.NoError(t, err)
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, objects, len(entries))
			for _, o := range objects {
				want, err := os.ReadFile(filepath.Join(dir, o.file))
				require.NoError(t, err)
				require.Equal(t, string(want), string(o.yaml), o.file)
			}
		})
	}
}

// Many plugins are built in chunks, and what could reach from one chunk into another is built as a whole: the bytes are
// kustomize's in both cases.
func TestChunksAreSameAsKustomize(t *testing.T) {
	const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
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
			write := func(path, text string) {
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
			}
			var overlay, images, patches strings.Builder
			for i := range 20 {
				f := fmt.Sprintf("f%d", i)
				write("manifests/base/"+f+"/kustomization.yaml", "resources: [wasmplugin.yaml]\n")
				write("manifests/base/"+f+"/wasmplugin.yaml", wasmPlugin(f, i))
				fmt.Fprintf(&overlay, "- ../../base/%s\n", f)
				fmt.Fprintf(&images, "- {name: 'filter://%s', newName: 'oci://r.example/%[1]s', newTag: v1, digest: '%s'}\n", f, digest)
				write("manifests/overlays/dev/"+f+".yaml", patch(f))
				fmt.Fprintf(&patches, "- path: %s.yaml\n", f)
			}
			for _, file := range []string{"kustomization.yaml", "fieldspecs.yaml"} {
				text, err := os.ReadFile(filepath.Join(repository, "manifests/components/filter-image", file))
				require.NoError(t, err)
				write("manifests/components/filter-image/"+file, string(text))
			}
			write("manifests/overlays/dev/digests/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncomponents: [../../../components/filter-image]\nimages:\n"+images.String())
			write("manifests/overlays/dev/environment.yaml", "upstream: none\nistio: \"1.31\"\n")
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
				write("manifests/overlays/dev/"+file, text)
			}
			own := c.overlay["kustomization.yaml"]
			text := "resources:\n" + overlay.String()
			if !strings.Contains(own, "components:") {
				text += "components: [digests]\n"
			}
			if !strings.Contains(own, "patches:") {
				text += "patches:\n" + patches.String()
			}
			write("manifests/overlays/dev/kustomization.yaml", text+own)

			env, err := manifests.Load("manifests", "dev")
			require.NoError(t, err)
			want, wantErr := kustomize(t, "build", env.Dir)
			objects, s, err := build(env, progress{})
			if c.fails {
				require.Error(t, wantErr)
				require.Error(t, err)
				return
			}
			require.NoError(t, wantErr)
			require.NoError(t, err)
			require.Equal(t, want, stream(objects))
			_, ok := split(s.kustomizations[len(s.kustomizations)-1], s)
			require.Equal(t, c.chunked, ok)
		})
	}
}

func wasmPlugin(name string, priority int) string {
	return fmt.Sprintf("apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: %s}\nspec:\n  url: filter://%[1]s\n  priority: %d\n  pluginConfig: {value: y, keep: [1, 2]}\n", name, priority)
}

func patch(name string) string {
	return fmt.Sprintf("apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: %s}\nspec: {pluginConfig: {value: x}}\n", name)
}

func serviceEntry(name, namespace string) string {
	return fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: %s, namespace: %s}\nspec: {hosts: [a.example]}\n", name, namespace)
}

func indent(text string) string {
	return strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n    ")
}
