package istio

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A module of any language with a plugin.yaml beside it goes the same way: the lint, both forms, Istio's verdict. Here C, built
// with the clang and the wasi-libc of `make tools`.
func TestPrebuiltC(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "helloc.wasm")
	out, err := exec.Command("clang-19", "--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-o", file, "../prebuilt/c/filter.c").CombinedOutput()
	require.NoError(t, err, `%s. clang-19 comes with "make tools"`, out)
	publishPrebuilt(t, file, "../prebuilt/c/plugin.yaml")
}

// Rust, and Go by the standard compiler; "make e2e" builds them from bench/peers.
func TestPrebuiltPeers(t *testing.T) {
	for _, peer := range []string{"rust", "gowasip1"} {
		t.Run(peer, func(t *testing.T) {
			built := filepath.Join(root, "bench", "build", peer+".wasm")
			require.FileExists(t, built, `run "make e2e"`)
			file := filepath.Join(t.TempDir(), "plugin.wasm")
			copyFile(t, built, file)
			publishPrebuilt(t, file, filepath.Join("../prebuilt", peer, "plugin.yaml"))
		})
	}
}

// The lint holds for them too: a C program with main is no filter.
func TestPrebuiltCommandIsRefused(t *testing.T) {
	dir := t.TempDir()
	source, file := filepath.Join(dir, "main.c"), filepath.Join(dir, "helloc.wasm")
	require.NoError(t, os.WriteFile(source, []byte("int main(void) { return 0; }\n"), 0o644))
	out, err := exec.Command("clang-19", "--target=wasm32-wasi", "-o", file, source).CombinedOutput()
	require.NoError(t, err, string(out))
	copyFile(t, "../prebuilt/c/plugin.yaml", filepath.Join(dir, "plugin.yaml"))
	_, err = wasmfleet(t, "publish", "--dry-run", "--repo", "127.0.0.1:1/filters", "--version", "v1", file)
	require.Error(t, err)
}

func publishPrebuilt(t *testing.T, file, pluginYAML string) {
	module, err := os.ReadFile(file)
	require.NoError(t, err)
	copyFile(t, pluginYAML, filepath.Join(filepath.Dir(file), "plugin.yaml"))
	host := serve(t, nil)
	for _, variant := range []string{"artifact", "compat"} {
		out, err := wasmfleet(t, "publish", "--repo", host+"/filters", "--version", variant, "--variant", variant, file)
		require.NoError(t, err)
		_, err = wasmfleet(t, "inspect", strings.TrimSpace(out))
		require.NoError(t, err)
		got, err := fetch(t, "oci://"+strings.TrimSpace(out), "")
		require.NoError(t, err)
		require.Equal(t, module, got)
	}
}

func copyFile(t *testing.T, from, to string) {
	content, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, content, 0o644))
}
