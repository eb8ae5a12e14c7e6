//go:build envoy

package render

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// tree writes manifests with n filters, f0, f1 and so on, and an environment home with a patch and a pin for each.
func tree(t *testing.T, dir string, n int) {
	t.Helper()
	at := func(path string) string { return filepath.Join(dir, "manifests", path) }
	for i := range n {
		f := fmt.Sprintf("f%d", i)
		write(t, at("base/"+f+"/kustomization.yaml"), "resources: [wasmplugin.yaml]\n")
		write(t, at("base/"+f+"/wasmplugin.yaml"), wasmPlugin(f, i))
		write(t, at("overlays/home/"+f+".yaml"), patch(f))
	}
	for _, file := range []string{"kustomization.yaml", "fieldspecs.yaml"} {
		text, err := os.ReadFile(filepath.Join(repository, "manifests/components/filter-image", file))
		require.NoError(t, err)
		write(t, at("components/filter-image/"+file), string(text))
	}
	write(t, at("overlays/home/digests/kustomization.yaml"), "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncomponents: [../../../components/filter-image]\nimages:\n"+
		each(n, "- {name: 'filter://f%d', newName: 'oci://r.example/f%[1]d', newTag: v1, digest: '"+digest+"'}\n"))
	write(t, at("overlays/home/environment.yaml"), "upstream: none\nistio: \"1.31\"\n")
	write(t, at("overlays/home/kustomization.yaml"), "namespace: web\nresources:\n"+each(n, "- ../../base/f%d\n")+"components: [digests]\npatches:\n"+each(n, "- path: f%d.yaml\n"))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "filters"), 0o755))
}

// each is the format for each number below n.
func each(n int, format string) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, format, i)
	}
	return all.String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func wasmPlugin(name string, priority int) string {
	return fmt.Sprintf(`apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: %s}
spec:
  url: filter://%[1]s
  imagePullPolicy: IfNotPresent
  selector: {matchLabels: {app: web}}
  phase: STATS
  priority: %d
  failStrategy: FAIL_RELOAD
  pluginConfig: {value: w, keep: [1, 2]}
`, name, priority)
}

func patch(name string) string {
	return fmt.Sprintf("apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: %s}\nspec: {pluginConfig: {value: x}}\n", name)
}

// program is wasmfleet, built as a user builds it.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "render-test-")
	if err != nil {
		panic(err)
	}
	program = filepath.Join(dir, "wasmfleet")
	if out, err := exec.Command("go", "build", "-o", program, "../../tools/wasmfleet").CombinedOutput(); err != nil {
		panic(string(out))
	}
	err = os.Chmod(dir, 0o755) // another user runs it, too
	code := m.Run()
	os.RemoveAll(dir)
	if err != nil {
		panic(err)
	}
	os.Exit(code)
}

// files are the contents of a folder, by path.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all[rel] = string(content)
		return err
	}))
	return all
}

// namespaces runs a command in new namespaces, which root may make and sudo may become.
func namespaces(flags string, args ...string) *exec.Cmd {
	command := append([]string{"unshare", flags}, args...)
	if os.Geteuid() != 0 {
		command = append([]string{"sudo", "-n"}, command...)
	}
	return exec.Command(command[0], command[1:]...)
}
