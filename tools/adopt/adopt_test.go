package adopt

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

const root = "../.."

// repository is an empty one with the dependencies of this, one environment and one base.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		write(t, filepath.Join(dir, name), data)
	}
	write(t, filepath.Join(dir, "manifests/overlays/home/environment.yaml"), []byte("upstream: none\nistio: \"1.31\"\n"))
	write(t, filepath.Join(dir, "manifests/overlays/home/kustomization.yaml"), []byte("resources:\n- ../../base/other\ncomponents:\n- digests\n"))
	write(t, filepath.Join(dir, "manifests/base/other/wasmplugin.yaml"), []byte("spec:\n  priority: 30\n"))
	return dir
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, data, 0o644))
}

func adopt(dir string, args ...string) (code int, stdout, stderr string) {
	var out, talk bytes.Buffer
	code = Command().Main(append([]string{"--root", dir}, args...), &out, &talk)
	return code, out.String(), talk.String()
}

func TestDeployed(t *testing.T) {
	src := filepath.Join(t.TempDir(), "Add-Header_2")
	write(t, filepath.Join(src, "main.go"), []byte("// Command x adds: a header. And more.\npackage main\n\nfunc main() {}\n"))
	dir := repository(t)
	code, stdout, stderr := adopt(dir, src)
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Contains(t, stderr, "adopt: next: make build FILTER=add-header-2\n")
	for _, name := range strings.Fields(stdout) {
		require.FileExists(t, filepath.Join(dir, name))
	}
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		return string(data)
	}
	require.Equal(t, `# This file says what is true of the code; manifests/base/add-header-2/ says how it is deployed.
name: add-header-2
title: add-header-2
description: 'Command x adds: a header.'
licenses: NOASSERTION
phases: [UNSPECIFIED_PHASE]
istio: '>=1.28'
callouts: []
`, read("filters/add-header-2/plugin.yaml"))
	require.Contains(t, read("manifests/base/add-header-2/wasmplugin.yaml"), "  priority: 40\n", "above what is there")
	require.Equal(t, "resources:\n- ../../base/other\ncomponents:\n- digests\n", read("manifests/overlays/home/kustomization.yaml"), "promote adds it, with its pin")
}

func TestRefuses(t *testing.T) {
	src := t.TempDir()
	write(t, filepath.Join(src, "lib/lib.go"), []byte("package lib\n"))
	write(t, filepath.Join(src, "empty/README.md"), []byte("nothing"))
	write(t, filepath.Join(src, "host/main.go"), []byte("//go:build !tinygo\n\npackage main\n"))
	write(t, filepath.Join(src, "far/main.go"), []byte("package main\n\nimport _ \"nowhere.invalid/x\"\n\nfunc main() {}\n"))
	write(t, filepath.Join(src, "ok/main.go"), []byte("package main\n\nfunc main() {}\n"))
	dir := repository(t)
	before, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"nothing":                      {nil, cli.ExitUsage, "want one folder or file"},
		"no such place":                {[]string{src + "/none"}, cli.ExitUsage, "no such file"},
		"a library":                    {[]string{src + "/lib"}, cli.ExitFindings, "is package lib. a filter is package main"},
		"no Go":                        {[]string{src + "/empty"}, cli.ExitFindings, "no Go files for a filter"},
		"for the host":                 {[]string{src + "/host"}, cli.ExitFindings, "no Go files for a filter"},
		"bad name":                     {[]string{"--name", "A-b", src + "/ok"}, cli.ExitUsage, `filter "A-b": want a lower-case letter`},
		"a dependency that nobody has": {[]string{src + "/far"}, cli.ExitFindings, "getting nowhere.invalid/x@latest"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := adopt(dir, c.args...)
			require.Equal(t, c.code, code, stderr)
			require.Contains(t, stderr, c.want)
			require.Empty(t, stdout)
			require.NoDirExists(t, filepath.Join(dir, "filters"), "nothing is written before all is known")
		})
	}
	after, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))

	code, _, _ := adopt(dir, src+"/ok")
	require.Equal(t, cli.ExitOK, code)
	code, _, stderr := adopt(dir, src+"/ok")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "filters/ok is there. give another name")
}
