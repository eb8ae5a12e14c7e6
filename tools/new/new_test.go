package newverb

import (
	"bytes"
	"go/format"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

const root = "../.."

func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "go.mod"), "module example.com/fleet\n")
	write(t, filepath.Join(dir, "manifests/base/other/wasmplugin.yaml"), "spec:\n  priority: 30\n")
	return dir
}

func write(t *testing.T, file, data string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(data), 0o644))
}

func run(dir string, args ...string) (code int, stdout, stderr string) {
	var out, talk bytes.Buffer
	code = Command().Main(append([]string{"--root", dir}, args...), &out, &talk)
	return code, out.String(), talk.String()
}

func TestNew(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			dir := repository(t)
			code, stdout, stderr := run(dir, "--like", kind.name, "rate-limit")
			require.Equal(t, cli.ExitOK, code, stderr)
			require.Equal(t, "new: next: make build examples FILTER=rate-limit\n", stderr)
			for _, name := range strings.Fields(stdout) {
				data, err := os.ReadFile(filepath.Join(dir, name))
				require.NoError(t, err)
				require.NotContains(t, string(data), "github.com/wasmfleet", "%s names this repository", name)
				require.NotContains(t, string(data), "<no value>", name)
				if filepath.Ext(name) == ".go" {
					formatted, err := format.Source(data)
					require.NoError(t, err, name)
					require.Equal(t, string(formatted), string(data), name)
				}
			}
			base, err := os.ReadFile(filepath.Join(dir, "manifests/base/rate-limit/wasmplugin.yaml"))
			require.NoError(t, err)
			require.Contains(t, string(base), "  priority: 40\n", "above what is there")
			require.Regexp(t, `(?m)^  pluginConfig:\n(    \w+: .*\n)+\z`, string(base))
		})
	}
}

func TestRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no name":                {nil, "new: want one name\n"},
		"two names":              {[]string{"a", "b"}, "new: want one name\n"},
		"a name that is none":    {[]string{"Rate_Limit"}, `new: filter "Rate_Limit": want a lower-case letter, then letters, digits and dashes, at most 63`},
		"a path":                 {[]string{"../a"}, `new: filter "../a": want`},
		"no such kind":           {[]string{"--like", "heads", "a"}, `new: --like "heads": want one of headers, body, shared, tick`},
		"a filter of that name":  {[]string{"taken"}, "new: filters/taken is there. give another name\n"},
		"a base of another name": {[]string{"other"}, "new: manifests/base/other is there. give another name\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := repository(t)
			write(t, filepath.Join(dir, "filters/taken/main.go"), "package main\n")
			code, stdout, stderr := run(dir, c.args...)
			require.Equal(t, cli.ExitUsage, code, stderr)
			require.Contains(t, stderr, c.want)
			require.Empty(t, stdout)
			entries, err := os.ReadDir(filepath.Join(dir, "filters"))
			require.NoError(t, err)
			require.Len(t, entries, 1)
		})
	}
	code, _, stderr := run(t.TempDir(), "a")
	require.Equal(t, cli.ExitFailure, code)
	require.Contains(t, stderr, "run this from the repository's root, or give --root")
}

// Nothing stays when one file cannot be written.
func TestHalf(t *testing.T) {
	dir := repository(t)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "manifests")))
	write(t, filepath.Join(dir, "manifests"), "a file where a folder belongs")
	code, stdout, stderr := run(dir, "a")
	require.NotEqual(t, cli.ExitOK, code)
	require.Contains(t, stderr, "manifests")
	require.Empty(t, stdout)
	require.NoDirExists(t, filepath.Join(dir, "filters/a"))
}
