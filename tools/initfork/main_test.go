package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/scripttest"
	"github.com/wasmfleet/wasmfleet/test/clone"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"initfork": main})
}

func TestScripts(t *testing.T) { scripttest.Run(t, testscript.Params{}) }

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
	require.Contains(t, once, "+  url: oci://registry.example.com:5000/wasm/addheader:")
	require.Contains(t, init("OWNER=Acme-Corp", "REGISTRY=registry.example.com:5000/wasm", "REPOSITORY=https://git.example.com/acme/filters.git"), "initfork: nothing to do")
	require.Equal(t, once, git("diff"))

	// The owner alone is enough on GitHub.
	init("OWNER=Acme-Corp")
	require.Equal(t, identity{"ghcr.io/acme-corp", "https://github.com/Acme-Corp/wasmfleet.git"}, values(t, dir))
	// And back again is where it was, byte by byte.
	init("OWNER=x", "REGISTRY="+original.registry, "REPOSITORY="+original.repository)
	require.Empty(t, git("diff"))
}

// values are those of the Makefile and of the AppProject.
func values(t *testing.T, dir string) identity {
	makefile, err := os.ReadFile(filepath.Join(dir, "Makefile"))
	require.NoError(t, err)
	project, err := os.ReadFile(filepath.Join(dir, "manifests", "argocd", "appproject.yaml"))
	require.NoError(t, err)
	return identity{string(makefileLine.FindSubmatch(makefile)[2]), string(repoURL.FindSubmatch(project)[2])}
}

func TestComplete(t *testing.T) {
	for name, c := range map[string]struct {
		owner string
		given identity
		want  string
	}{
		"no owner":           {"", identity{}, `--owner "": want`},
		"a path":             {"acme/filters", identity{}, `--owner "acme/filters": want`},
		"code":               {"$(touch x)", identity{}, "--owner"},
		"a scheme":           {"acme", identity{registry: "https://ghcr.io/acme"}, `--registry "https://ghcr.io/acme": want host/path, such as ghcr.io/acme`},
		"upper case":         {"acme", identity{registry: "ghcr.io/Acme"}, "--registry"},
		"a tag":              {"acme", identity{registry: "ghcr.io/acme:v1"}, "--registry"},
		"no path":            {"acme", identity{registry: "acme"}, "--registry"},
		"a slash at the end": {"acme", identity{registry: "ghcr.io/acme/"}, "--registry"},
		"credentials":        {"acme", identity{repository: "https://me:secret@github.com/acme/x.git"}, "without credentials"},
		"a file":             {"acme", identity{repository: "/srv/x.git"}, "--repository"},
		"a quote":            {"acme", identity{repository: `https://github.com/a'b`}, "--repository"},
		"two lines":          {"acme", identity{repository: "https://github.com/a\nb"}, "--repository"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.given.complete(c.owner)
			require.ErrorContains(t, err, c.want)
			require.False(t, strings.Contains(err.Error(), "%!"))
		})
	}
	for _, repository := range []string{"https://github.com/acme/x", "git@github.com:acme/x.git", "ssh://git@host.example.com:2222/acme/x.git"} {
		got, err := identity{repository: repository}.complete("Acme")
		require.NoError(t, err)
		require.Equal(t, identity{"ghcr.io/acme", repository}, got)
	}
}
