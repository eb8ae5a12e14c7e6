//go:build envoy

// Package crd holds the embedded CRDs against the modules of Istio's API, which the Go module proxy serves.
package crd

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/istiocompat"
)

const home = "../../internal/crd"

// The embedded copy is what generate makes of the modules.
func TestCopyIsTheModules(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "istio")
	cmd := exec.Command("go", "run", "generate.go", dir)
	cmd.Dir = home
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Equal(t, files(t, dir), files(t, filepath.Join(home, "istio")), `run "go generate ./internal/crd"`)
}

// Every supported minor has its CRDs, and the newest are those of the module that everything else here is built with.
func TestEveryMinor(t *testing.T) {
	generate, err := os.ReadFile(filepath.Join(home, "generate.go"))
	require.NoError(t, err)
	var minors []string
	var last string
	for _, m := range regexp.MustCompile(`\{"(1\.[0-9]+)", "(v[0-9.]+)"\}`).FindAllStringSubmatch(string(generate), -1) {
		minors, last = append(minors, m[1]), m[2]
	}
	require.Equal(t, istiocompat.Minors(), minors)
	mod, err := os.ReadFile("../../go.mod")
	require.NoError(t, err)
	require.Contains(t, string(mod), "istio.io/api "+last+"\n")
}

func files(t *testing.T, dir string) map[string]string {
	all := map[string]string{}
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(dir, path))
		all[path] = string(content)
		return err
	}))
	return all
}
