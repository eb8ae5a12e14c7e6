package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/environment"
)

// Stock kustomize and render make the same files of this repository's environments, byte by byte.
func TestSameAsKustomize(t *testing.T) {
	kustomize, err := filepath.Glob("../../.tools/kustomize-v*")
	require.NoError(t, err)
	require.NotEmpty(t, kustomize, `no kustomize in .tools. run the tests with "make test"`)
	envs, err := environment.All("../../manifests")
	require.NoError(t, err)
	for _, env := range envs {
		t.Run(env.Name, func(t *testing.T) {
			dir := t.TempDir()
			out, err := exec.Command(kustomize[0], "build", env.Dir, "-o", dir).CombinedOutput()
			require.NoError(t, err, string(out))
			objects, _, err := build(env)
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
