// Package docs proves the README: its recipes run, its YAML is what the files hold.
package docs

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/test/clone"
)

const root = "../.."

var block = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

func blocks(t *testing.T, language string) []string {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	var found []string
	for _, m := range block.FindAllStringSubmatch(string(readme), -1) {
		if m[1] == language {
			found = append(found, m[2])
		}
	}
	require.NotEmpty(t, found)
	return found
}

// A block of YAML begins with the name of the file that holds it.
func TestYAML(t *testing.T) {
	for _, b := range blocks(t, "yaml") {
		first, rest, _ := strings.Cut(b, "\n")
		content, err := os.ReadFile(filepath.Join(root, strings.TrimPrefix(first, "# ")))
		require.NoError(t, err)
		require.Equal(t, string(content), rest)
	}
}

// The recipes run one after the other in a copy of the tree, with a registry on loopback.
func TestRecipes(t *testing.T) {
	dir := clone.Tree(t, root)
	kustomize, err := filepath.Glob(filepath.Join(dir, ".tools", "kustomize-v*"))
	require.NoError(t, err)
	require.NotEmpty(t, kustomize, `no kustomize in .tools. run the tests with "make test"`)
	path := t.TempDir()
	require.NoError(t, os.Symlink(kustomize[0], filepath.Join(path, "kustomize")))
	reg := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer reg.Close()
	script := "set -eux\n" + strings.Join(blocks(t, "sh"), "\n") + `
set +x
test -n "$(grep -l 'oci://ghcr.io/acme/mine:v0.1.0@sha256:0123' manifests/rendered/dev/*_wasmplugin_mine.yaml)"
grep -q 'value: hello from dev' manifests/rendered/dev/*_wasmplugin_addheader.yaml
! grep -q 'addheader:v0.2.0' manifests/rendered/staging/*
`
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "REPO="+strings.TrimPrefix(reg.URL, "http://")+"/docs", "PATH="+path+":"+os.Getenv("PATH"),
		"GIT_AUTHOR_NAME=docs", "GIT_AUTHOR_EMAIL=docs@localhost", "GIT_COMMITTER_NAME=docs", "GIT_COMMITTER_EMAIL=docs@localhost")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}
