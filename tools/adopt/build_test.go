//go:build envoy

package adopt

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// Each case is a filter as people publish it: from is what adopt is pointed at. The files that it writes are listed in want, and
// make build's program builds them.
func TestAdopt(t *testing.T) {
	cases, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			from, want := "", ""
			src := t.TempDir()
			for _, f := range archive.Files {
				switch f.Name {
				case "from":
					from = strings.TrimSpace(string(f.Data))
				case "want":
					want = string(f.Data)
				default:
					write(t, filepath.Join(src, f.Name), f.Data)
				}
			}
			dir := repository(t)
			code, stdout, stderr := adopt(dir, "--name", "adopted", filepath.Join(src, from))
			require.Equal(t, cli.ExitOK, code, stderr)
			require.Equal(t, want, stdout)

			build := exec.Command(filepath.Join(root, "bin/filterbuild"), "-root", dir, "-tools", filepath.Join(root, ".tools"), "build", "adopted")
			out, err := build.CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}
