package envoy

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFindEnvoy(t *testing.T) {
	program := func(path string) string {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755))
		return path
	}
	root := t.TempDir()
	named, tools, onPath := program(root+"/named"), program(root+"/tree/.tools/bin/envoy"), program(root+"/path/envoy")
	require.NoError(t, os.MkdirAll(root+"/tree/a/b", 0o755))

	for _, tc := range []struct{ name, env, dir, path, want, err string }{
		{name: "ENVOY", env: named, dir: root + "/tree", path: root + "/path", want: named},
		{name: "ENVOY is wrong", env: root + "/missing", dir: root + "/tree", err: `envoy not found: ENVOY=` + root + `/missing is no program. run "make tools" or set ENVOY=/path`},
		{name: "tools above", dir: root + "/tree/a/b", path: root + "/path", want: tools},
		{name: "PATH", dir: root, path: root + "/path", want: onPath},
		{name: "nowhere", dir: root, err: `envoy not found. run "make tools" or set ENVOY=/path`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("ENVOY", tc.env)
			t.Setenv("PATH", tc.path)
			t.Chdir(tc.dir)
			got, err := FindEnvoy()
			if tc.err != "" {
				require.EqualError(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}
