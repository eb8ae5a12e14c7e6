package manifests_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// folder makes a folder of environments: name → environment.yaml.
func folder(t *testing.T, envs map[string]string) string {
	dir := t.TempDir()
	for name, content := range envs {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "overlays", name, "digests"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "overlays", name, manifests.File), []byte(content), 0o644))
	}
	return dir
}

func TestAllSortsUpstreamFirst(t *testing.T) {
	dir := folder(t, map[string]string{
		"a": "upstream: b\nistio: \"1.29\"\n",
		"b": "upstream: c\nistio: \"1.30\"\n",
		"c": "upstream: none\nistio: \"1.31\"\napi: WasmPlugin\n",
	})
	envs, err := manifests.All(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range envs {
		names = append(names, e.Name)
	}
	require.Equal(t, []string{"c", "b", "a"}, names)
	require.Equal(t, filepath.Join(dir, "rendered", "c"), envs[0].Rendered())
}

func TestAllRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		envs map[string]string
		want string
	}{
		"none":             {nil, "an environment is a folder with an environment.yaml"},
		"circle":           {map[string]string{"a": "upstream: b\nistio: \"1.29\"\n", "b": "upstream: a\nistio: \"1.29\"\n"}, "the upstreams form a circle"},
		"itself":           {map[string]string{"a": "upstream: a\nistio: \"1.29\"\n"}, "is the environment itself"},
		"unknown upstream": {map[string]string{"a": "upstream: x\nistio: \"1.29\"\n"}, `upstream "x" is no environment`},
		"no upstream":      {map[string]string{"a": "istio: \"1.29\"\n"}, "upstream is missing"},
		"patch version":    {map[string]string{"a": "upstream: none\nistio: 1.29.1\n"}, `istio "1.29.1": want a quoted minor`},
		"unknown api":      {map[string]string{"a": "upstream: none\nistio: \"1.29\"\napi: Wasm\n"}, `api "Wasm": want one of WasmPlugin`},
		"unknown key":      {map[string]string{"a": "upstream: none\nistoi: \"1.29\"\n"}, "line 2: field istoi not found"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := manifests.All(folder(t, c.envs))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestLoadNamesTheKnownEnvironments(t *testing.T) {
	dir := folder(t, map[string]string{"home": "upstream: none\nistio: \"1.29\"\n"})
	for _, name := range []string{"away", "", "..", "home/digests"} {
		_, err := manifests.Load(dir, name)
		require.ErrorContains(t, err, "environments: home")
	}
}

const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestPinsAreWrittenInPlace(t *testing.T) {
	dir := folder(t, map[string]string{"home": "upstream: none\nistio: \"1.29\"\n"})
	env, err := manifests.Load(dir, "home")
	require.NoError(t, err)

	pins, err := env.Pins()
	require.NoError(t, err)
	require.Empty(t, pins, "no file, no pins")

	require.NoError(t, os.WriteFile(env.PinsFile(), []byte(`# head
kind: Component
images:
# busybox stays
- name: busybox
  newTag: v1
- name: filter://b # why b waits
  digest: `+digest+`
  newName: oci://example.com/filters/b
  newTag: v1
`), 0o644))
	next, err := env.WithPins(manifests.Pins{
		"b": {Repo: "example.com/filters/b", Tag: "v2", Digest: digest},
		"a": {Repo: "example.com/filters/a", Tag: "v1", Digest: digest},
	})
	require.NoError(t, err)
	require.Equal(t, []string{env.PinsFile()}, next.Changed())
	inMemory, err := next.Pins()
	require.NoError(t, err)
	require.Len(t, inMemory, 2)
	onDisk, err := env.Pins()
	require.NoError(t, err)
	require.Len(t, onDisk, 1, "nothing is written yet")
	require.NoError(t, next.Save())
	got, err := os.ReadFile(env.PinsFile())
	require.NoError(t, err)
	require.Equal(t, `# head
kind: Component
images:
# busybox stays
- name: busybox
  newTag: v1
- name: filter://b # why b waits
  digest: `+digest+`
  newName: oci://example.com/filters/b
  newTag: v2
- name: filter://a
  newName: oci://example.com/filters/a
  newTag: v1
  digest: `+digest+`
`, string(got))

	pins, err = env.Pins()
	require.NoError(t, err)
	require.Equal(t, manifests.Pins{
		"b": image.Ref{Repo: "example.com/filters/b", Tag: "v2", Digest: digest},
		"a": image.Ref{Repo: "example.com/filters/a", Tag: "v1", Digest: digest},
	}, pins)
	entries, err := os.ReadDir(filepath.Dir(env.PinsFile()))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing is left beside the file")
}

func TestPinsRefuses(t *testing.T) {
	entry := func(lines ...string) string { return "images:\n- " + strings.Join(lines, "\n  ") + "\n" }
	for name, c := range map[string]struct{ content, want string }{
		"twice":     {entry("name: filter://a", "newName: oci://h.io/x/a", "digest: "+digest) + "- name: filter://a\n  newName: oci://h.io/x/a\n", "a is pinned twice"},
		"scheme":    {entry("name: filter://a", "newName: h.io/x/a", "digest: "+digest), `newName "h.io/x/a" of a: want oci://`},
		"no digest": {entry("name: filter://a", "newName: oci://h.io/x/a", "newTag: v1"), "pin of a"},
		"short":     {entry("name: filter://a", "newName: oci://h.io/x/a", "digest: sha256:abc"), "pin of a"},
		"not yaml":  {"images: [", "kustomization.yaml: yaml:"},
	} {
		t.Run(name, func(t *testing.T) {
			env, err := manifests.Load(folder(t, map[string]string{"home": "upstream: none\nistio: \"1.29\"\n"}), "home")
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(env.PinsFile(), []byte(c.content), 0o644))
			_, err = env.Pins()
			require.ErrorContains(t, err, c.want)
		})
	}
}
