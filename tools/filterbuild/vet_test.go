//go:build envoy

package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what vet says into the cases")

// Each case is a program and, in want, what vet says of it.
func TestVet(t *testing.T) {
	cases(t, "vet", func(t *testing.T, file string, archive *txtar.Archive, want string) {
		dir := unpack(t, archive)
		var got findings
		pattern := "."
		if _, err := os.Stat(filepath.Join(dir, "filters/f")); err == nil {
			pattern = "./filters/f"
		}
		p, err := load(absolute(t, tinygo), dir, pattern)
		if err != nil {
			require.ErrorAs(t, err, &got)
		} else {
			got = vet(p)
		}
		if *update {
			for i := range archive.Files {
				if archive.Files[i].Name == "want" {
					archive.Files[i].Data = []byte(strings.Join(append(got.lines(), ""), "\n"))
				}
			}
			require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o644))
			return
		}
		require.Equal(t, strings.TrimSpace(want), strings.Join(got.lines(), "\n"))
	})
}
