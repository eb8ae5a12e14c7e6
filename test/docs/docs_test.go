//go:build envoy

// Package docs proves README.md and docs/: their commands run, their YAML is what the files hold.
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

// blocks are the fenced blocks of a language in a document.
func blocks(t *testing.T, document, language string) []string {
	text, err := os.ReadFile(filepath.Join(root, document))
	require.NoError(t, err)
	var found []string
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		if m[1] == language {
			found = append(found, m[2])
		}
	}
	return found
}

// A block of YAML begins with the name of the file that holds it.
func TestYAML(t *testing.T) {
	for _, document := range documents(t) {
		for _, b := range blocks(t, document, "yaml") {
			first, rest, _ := strings.Cut(b, "\n")
			content, err := os.ReadFile(filepath.Join(root, strings.TrimPrefix(first, "# ")))
			require.NoError(t, err)
			require.Equal(t, string(content), rest)
		}
	}
}

// after is what must hold when the commands of a document have run.
var after = map[string]string{
	"README.md": `
test -n "$(grep -l 'oci://ghcr.io/acme/mine:v0.1.0@sha256:0123' manifests/rendered/dev/*_wasmplugin_mine.yaml)"
grep -q 'value: hello from dev' manifests/rendered/dev/*_wasmplugin_addheader.yaml
! grep -q 'addheader:v0.2.0' manifests/rendered/staging/*
`,
	"docs/gitops.md": `
grep -q 'sourceRepos:' manifests/argocd/appproject.yaml
grep -q 'https://github.com/acme/wasmfleet.git' manifests/argocd/appproject.yaml
! grep -rq 'ghcr.io/wasmfleet' manifests Makefile
grep -q 'imagePullSecret: wasm-registry' manifests/rendered/prod/*_wasmplugin_addheader.yaml
grep -q 'namespace: web-prod-eu' manifests/rendered/prod-eu/*_wasmplugin_addheader.yaml
grep -q 'addheader:v0.3.0@sha256' manifests/rendered/dev/*_wasmplugin_addheader.yaml
! grep -q 'addheader:v0.3.0' manifests/rendered/staging/*_wasmplugin_addheader.yaml
test -z "$(git status --porcelain manifests)"
`,
	"docs/examples.md": `
test -f build/addheader.wasm
`,
	"docs/render.md": `
grep -q 'failure_policy: FAIL_OPEN' manifests/rendered/dev/*_envoyfilter_jwtfetch.yaml
test -z "$(ls manifests/rendered/dev | grep wasmplugin)"
`,
	"docs/images.md": `
crane ls "$REPO/addheader" | grep -qx v0.2.0-compat
crane ls "$REPO/helloc" | grep -qx v1.0.0
crane ls "$MIRROR/addheader" | grep -qx v0.2.0
`,
}

// The commands of a document run one after the other in a copy of the tree, with two registries on loopback.
func TestCommands(t *testing.T) {
	for _, document := range documents(t) {
		commands := blocks(t, document, "sh")
		if len(commands) == 0 {
			continue
		}
		t.Run(document, func(t *testing.T) {
			require.Contains(t, after, document, "say what must hold after its commands")
			cmd := exec.Command("bash", "-c", "set -eux\n"+strings.Join(commands, "\n")+"set +x\n"+after[document])
			cmd.Dir = clone.Tree(t, root)
			cmd.Env = append(os.Environ(), "REPO="+serve(t)+"/docs", "MIRROR="+serve(t)+"/mirror", "PATH="+usersTools(t)+":"+os.Getenv("PATH"),
				"GIT_AUTHOR_NAME=docs", "GIT_AUTHOR_EMAIL=docs@localhost", "GIT_COMMITTER_NAME=docs", "GIT_COMMITTER_EMAIL=docs@localhost")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
		})
	}
}

func documents(t *testing.T) []string {
	docs, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	all := []string{"README.md"}
	for _, d := range docs {
		all = append(all, "docs/"+filepath.Base(d))
	}
	return all
}

func serve(t *testing.T) (host string) {
	s := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// usersTools is a folder with the tools that a reader is expected to have.
func usersTools(t *testing.T) string {
	dir := t.TempDir()
	for _, name := range []string{"kustomize", "crane"} {
		found, err := filepath.Glob(filepath.Join(root, ".tools", name+"-v*"))
		require.NoError(t, err)
		require.NotEmpty(t, found, `no %s in .tools. run the tests with "make test"`, name)
		path, err := filepath.Abs(found[0])
		require.NoError(t, err)
		require.NoError(t, os.Symlink(path, filepath.Join(dir, name)))
	}
	return dir
}
