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

// A block of YAML begins with the name of the file that holds it, which is none of those that a fork makes its own: to them a
// document has a link.
func TestYAML(t *testing.T) {
	for _, document := range documents(t) {
		for _, b := range blocks(t, document, "yaml") {
			first, rest, _ := strings.Cut(b, "\n")
			require.NotRegexp(t, "^# (filters|manifests)/", first, "%s: link to the file instead", document)
			content, err := os.ReadFile(filepath.Join(root, strings.TrimPrefix(first, "# ")))
			require.NoError(t, err)
			require.Equal(t, string(content), rest)
		}
	}
}

// The commands of a document run one after the other in a copy of the tree, with two registries on loopback. What must hold then is
// in testdata. They are about the samples: where one is gone, scripts/samples says so, also in make test, and they are not run.
func TestCommands(t *testing.T) {
	for _, document := range documents(t) {
		commands := blocks(t, document, "sh")
		if len(commands) == 0 {
			continue
		}
		t.Run(document, func(t *testing.T) {
			after, err := os.ReadFile(filepath.Join("testdata", strings.TrimSuffix(filepath.Base(document), ".md")+".sh"))
			require.NoError(t, err, "say what must hold after its commands")
			if gone := missing(t, document); gone != "" {
				t.Log(gone)
				return
			}
			// The registries are on this machine, where promote wants to be told that nobody else is to find them.
			script := strings.ReplaceAll(strings.Join(commands, "\n"), "PROMOTEFLAGS=--verify", "PROMOTEFLAGS='--verify --allow-loopback'")
			cmd := exec.Command("bash", "-c", "set -eux\n"+script+"set +x\n"+string(after))
			cmd.Dir = clone.Tree(t, root)
			cmd.Env = append(os.Environ(), "PROMOTEFLAGS=--allow-loopback", "REPO="+serve(t)+"/docs", "MIRROR="+serve(t)+"/mirror", "PATH="+usersTools(t)+":"+os.Getenv("PATH"),
				"GIT_AUTHOR_NAME=docs", "GIT_AUTHOR_EMAIL=docs@localhost", "GIT_COMMITTER_NAME=docs", "GIT_COMMITTER_EMAIL=docs@localhost")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, string(out))
		})
	}
}

// missing says which samples of a document are gone.
func missing(t *testing.T, document string) string {
	text, err := os.ReadFile(filepath.Join(root, document))
	require.NoError(t, err)
	require.Contains(t, string(text), "<!-- samples: ", "%s: say which samples its commands need, for scripts/samples", document)
	cmd := exec.Command("scripts/samples", document)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
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
