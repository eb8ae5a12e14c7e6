//go:build envoy

// Package init tests `make init` in a clone.
package init

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/test/clone"
)

// In a clone, one command leaves no trace of the original's registry and repository in what is built, pinned, rendered and
// synced; the second run changes nothing.
func TestClone(t *testing.T) {
	dir := clone.Tree(t, "../..")
	init := func(args ...string) string {
		cmd := exec.Command("make", append([]string{"-s", "init"}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MFLAGS=")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	git := func(args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		return string(out)
	}
	original := values(t, dir)
	init("OWNER=Acme-Corp", "REGISTRY=registry.example.com:5000/wasm", "REPOSITORY=https://git.example.com/acme/filters.git")
	require.Equal(t, identity{"registry.example.com:5000/wasm", "https://git.example.com/acme/filters.git"}, values(t, dir))
	require.NoError(t, filepath.WalkDir(filepath.Join(dir, "manifests"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		require.NotContains(t, string(data), original.registry, path)
		require.NotContains(t, string(data), original.repository, path)
		return err
	}))
	once := git("diff")
	require.Contains(t, once, "+  url: oci://registry.example.com:5000/wasm/")
	require.Contains(t, init("OWNER=Acme-Corp", "REGISTRY=registry.example.com:5000/wasm", "REPOSITORY=https://git.example.com/acme/filters.git"), "init: nothing to do")
	require.Equal(t, once, git("diff"))

	// The owner alone is enough on GitHub.
	init("OWNER=Acme-Corp")
	require.Equal(t, identity{"ghcr.io/acme-corp", "https://github.com/Acme-Corp/wasmfleet.git"}, values(t, dir))
	// And back again is where it was, byte by byte.
	init("OWNER=x", "REGISTRY="+original.registry, "REPOSITORY="+original.repository)
	require.Empty(t, git("diff"))
}

type identity struct{ registry, repository string }

// values are those of Fork.mk and of the AppProject.
func values(t *testing.T, dir string) identity {
	find := func(file, line string) string {
		content, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
		require.NoError(t, err)
		match := regexp.MustCompile(line).FindSubmatch(content)
		require.NotNil(t, match, file)
		return string(match[1])
	}
	return identity{find("Fork.mk", `(?m)^REPO \?= (\S+)$`), find("manifests/argocd/appproject.yaml", `sourceRepos:\n *- (\S+)\n`)}
}
