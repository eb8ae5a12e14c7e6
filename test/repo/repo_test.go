//go:build envoy && fork

// Package repo holds what is true of this repository as a whole: product and content stand apart. It has the build tag fork: the names
// that a fork gives its own things are nobody's concern.
package repo

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

const root = "../.."

// The product's own modules run upstream only, and demonstrate the samples to Istio, Kubernetes and Argo CD.
var upstreamOnly = []string{"test/e2e/", "test/policy/", "test/tokens/"}

// No Go file or template of the product names a filter or an environment of this tree: it would break in a fork that has no such. A fixture may be
// called the same; its name is then in a testdata folder beside the file that names it.
func TestProductNamesNoContent(t *testing.T) {
	var names []string
	filters, err := catalog.Load(filepath.Join(root, "filters"))
	require.NoError(t, err)
	for _, f := range filters {
		names = append(names, f.Name)
	}
	envs, err := manifests.All(filepath.Join(root, "manifests"))
	require.NoError(t, err)
	for _, e := range envs {
		names = append(names, e.Name)
	}
	cmd := exec.Command("git", "ls-files", "tools", "internal", "test", "filters/internal")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	files := 0
	for file := range strings.FieldsSeq(string(out)) {
		if ext := filepath.Ext(file); ext != ".go" && ext != ".tmpl" || strings.Contains(file, "/testdata/") || hasPrefix(file, upstreamOnly) {
			continue
		}
		files++
		text, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		for _, name := range names {
			// A word, but no device such as /dev/null.
			word := regexp.MustCompile(`(^|[^\w/]|\w/)` + regexp.QuoteMeta(name) + `\b`)
			if ofVerb(file, name) {
				// The word alone says nothing there. make fork renames what is content, and would find the rest.
				word = regexp.MustCompile(`(overlays/|rendered/|base/|filters/|(ENV|TO|FILTER|NAMESPACE)=|--(env|to|from|namespace)[ =])` + regexp.QuoteMeta(name) + `\b`)
			}
			for i, line := range bytes.Split(text, []byte("\n")) {
				line = domain.ReplaceAll(line, nil)
				if word.Match(line) && !fixture(t, filepath.Join(root, filepath.Dir(file), "testdata"), name) {
					t.Errorf("%s:%d: names %q, which is content: %s", file, i+1, name, bytes.TrimSpace(line))
				}
			}
		}
	}
	require.Greater(t, files, 100)
}

// domain is a host before a path, as in the name of a label or of a type.
var domain = regexp.MustCompile(`[a-z]+\.[a-z]{3}/`)

// ofVerb reports whether the file is about a verb that is called as the content is: the verb's own, or a list of verbs.
func ofVerb(file, name string) bool {
	if _, err := os.Stat(filepath.Join(root, "tools", name)); err != nil {
		return false
	}
	base := filepath.Base(file)
	return hasPrefix(file, []string{"tools/" + name + "/", "test/" + name + "/"}) || base == name+".go" || base == "main.go" && strings.HasPrefix(file, "tools/")
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// fixture tells whether the name is in a file of the folder.
func fixture(t *testing.T, dir, name string) (found bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || found {
			return err
		}
		data, err := os.ReadFile(path)
		found = bytes.Contains(data, []byte(name))
		return err
	})
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	return found
}
