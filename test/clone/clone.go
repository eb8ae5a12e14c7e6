// Package clone gives a test a copy of this repository to work in, as somebody who has just cloned it.
package clone

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Tree copies what git knows, or would add, of the repository at root into a new folder and commits it there. .tools is shared.
func Tree(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	bash(t, root, `git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - 2>/dev/null | tar -xf - -C "$0"
ln -s "$PWD/.tools" "$0/.tools"
cd "$0"
git init -q -b main .
git add -A
git -c user.name=test -c user.email=test@localhost commit -qm clone`, dir)
	return dir
}

// The content of Fleet: these filters, of which the tests know the folders, and these environments, each the upstream of the next.
var (
	Filters      = []string{"one", "two"}
	Environments = []string{"first", "second", "third"}
)

// Fleet is Tree with other filters and manifests: those of testdata/fleet. What a test of the product does to them does not depend
// on what a fork has made of its own. What make has built in root comes by Programs, and the filters' modules by Modules.
func Fleet(t *testing.T, root string) string {
	t.Helper()
	dir := Tree(t, root)
	content, err := filepath.Abs(filepath.Join(root, "test/clone/testdata/fleet"))
	require.NoError(t, err)
	Programs(t, root, dir)
	bash(t, root, `cd "$0"
find filters -mindepth 1 -maxdepth 1 ! -name internal -exec rm -r {} +
rm -rf manifests/base manifests/overlays manifests/rendered
cp -R "$1"/. .
bin/render
git add -A
git -c user.name=test -c user.email=test@localhost commit -qm fleet`, dir, content)
	return dir
}

// Programs puts the programs that make has built in root into dir, a Tree or a clone of one.
func Programs(t *testing.T, root, dir string) {
	t.Helper()
	bash(t, root, `rm -rf "$0/bin" && cp -R bin "$0/bin" && touch "$0"/bin/*`, dir)
}

// Modules puts a module for each filter into dir, a Fleet or a clone of one, after Programs: there is nothing to compile.
func Modules(t *testing.T, root, dir string) {
	t.Helper()
	module, err := os.ReadFile(filepath.Join(root, "internal/sandbox/testdata/hello.wasm"))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "build"), 0o755))
	for _, filter := range Filters {
		// A custom section: the same code in other bytes for each.
		section := append([]byte{0, byte(len(filter) + 2), byte(len(filter))}, filter+"\x00"...)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "build", filter+".wasm"), append(module[:len(module):len(module)], section...), 0o644))
	}
}

func bash(t *testing.T, dir, script string, args ...string) {
	t.Helper()
	cmd := exec.Command("bash", append([]string{"-euo", "pipefail", "-c", script}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}
