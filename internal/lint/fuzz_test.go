package lint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// FuzzTree renders a small tree of arbitrary files. Whatever they hold, render answers, with an error at worst, and what it accepts
// it renders twice to the same bytes.
func FuzzTree(f *testing.F) {
	const (
		env       = "upstream: none\nistio: \"1.31\"\n"
		overlay   = "namespace: web\nresources: [../../base/demo]\ncomponents: [digests]\npatches: [{path: patch.yaml}]\n"
		digests   = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nconfigurations: [fieldspecs.yaml]\nimages:\n- {name: filter://demo, newName: oci://r.example/demo, newTag: v1, digest: sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}\n"
		base      = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: demo}\nspec:\n  url: filter://demo\n  imagePullPolicy: IfNotPresent\n  selector: {matchLabels: {app: web}}\n  phase: STATS\n  priority: 10\n  failStrategy: FAIL_RELOAD\n  pluginConfig: {a: 1}\n"
		patchText = "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: demo}\nspec: {pluginConfig: {a: 2}}\n"
	)
	f.Add(env, overlay, digests, base, patchText)
	f.Add(env+"api: EnvoyFilter\n", overlay, digests, base, patchText)
	f.Add(env+"api: TrafficExtension\n", overlay, digests, base, "- {op: add, path: /spec/pluginConfig/b, value: y}\n")
	f.Add(env, "resources: [../../base/demo]\npatches:\n- patch: |\n    a: b\n", digests, base+"---\n"+base, "")
	f.Add(env, overlay, digests, "a: &a [1, 2]\nb: [*a, *a]\n", patchText)
	filters := []catalog.Filter{{Name: "demo", Phases: []string{"STATS"}, Capabilities: []string{"proxy_log"}}}
	f.Fuzz(func(t *testing.T, env, overlay, digests, base, patchText string) {
		dir := t.TempDir()
		for path, text := range map[string]string{
			"overlays/home/environment.yaml":           env,
			"overlays/home/kustomization.yaml":         overlay,
			"overlays/home/patch.yaml":                 patchText,
			"overlays/home/digests/kustomization.yaml": digests,
			"overlays/home/digests/fieldspecs.yaml":    "images:\n- path: spec/url\n  kind: WasmPlugin\n",
			"base/demo/kustomization.yaml":             "resources: [wasmplugin.yaml]\n",
			"base/demo/wasmplugin.yaml":                base,
		} {
			path = filepath.Join(dir, path)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		}
		render := func() (string, error) {
			env, err := manifests.Load(dir, "home")
			if err != nil {
				return "", err
			}
			results, _, err := Build([]manifests.Environment{env}, filters, func(string, ...any) {}, func(string) {})
			if err != nil {
				return "", err
			}
			var all strings.Builder
			for _, o := range results[0].Rendered {
				all.Write(o.YAML)
			}
			return all.String(), nil
		}
		first, err := render()
		if err != nil {
			require.NotEmpty(t, err.Error())
			return
		}
		second, err := render()
		require.NoError(t, err)
		require.Equal(t, first, second)
	})
}
