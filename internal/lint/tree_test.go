package lint

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// Each archive of testdata/trees is the files of manifests and filters, beside those of testdata/tree.txtar, and in the file want what
// the rules say of every environment: the findings, or the error.
func TestTrees(t *testing.T) {
	common, err := txtar.ParseFile("testdata/tree.txtar")
	require.NoError(t, err)
	cases, err := filepath.Glob("testdata/trees/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			file, err := filepath.Abs(file)
			require.NoError(t, err)
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			t.Chdir(t.TempDir())
			var want []byte
			for _, f := range append(common.Files, archive.Files...) {
				if f.Name == "want" {
					want = f.Data
					continue
				}
				require.NoError(t, os.MkdirAll(filepath.Dir(f.Name), 0o755))
				require.NoError(t, os.WriteFile(f.Name, f.Data, 0o644))
			}
			got := said(t)
			if *update {
				archive.Files = append(bytesDeleted(archive.Files), txtar.File{Name: "want", Data: []byte(got)})
				require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o644))
				return
			}
			require.Equal(t, string(want), got)
			require.Equal(t, got, said(t), "another time")
		})
	}
}

func bytesDeleted(files []txtar.File) (rest []txtar.File) {
	for _, f := range files {
		if f.Name != "want" {
			rest = append(rest, f)
		}
	}
	return rest
}

// said is what the rules say of the manifests in the working directory.
func said(t *testing.T) string {
	t.Helper()
	var out bytes.Buffer
	envs, err := manifests.All("manifests")
	if err == nil {
		var filters []catalog.Filter
		filters, err = catalog.Load("filters")
		require.NoError(t, err)
		var findings []Finding
		_, findings, err = Build(envs, filters, func(format string, args ...any) { out.WriteString("hint\n") }, func(string) {})
		for _, f := range findings {
			out.WriteString(f.String() + "\n")
		}
	}
	if err != nil {
		wd, wdErr := os.Getwd()
		require.NoError(t, wdErr)
		out.WriteString("error: " + strings.ReplaceAll(err.Error(), wd, "") + "\n")
	}
	return out.String()
}
