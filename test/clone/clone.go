// Package clone gives a test a copy of this repository to work in, as somebody who has just cloned it.
package clone

import (
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

// Fleet is Tree with other filters and manifests, those of testdata/fleet, built and rendered. What a test of the product does to
// them does not depend on what a fork has made of its own.
func Fleet(t *testing.T, root string) string {
	t.Helper()
	dir := Tree(t, root)
	content, err := filepath.Abs(filepath.Join(root, "test/clone/testdata/fleet"))
	require.NoError(t, err)
	Programs(t, root, dir)
	bash(t, dir, `find filters -mindepth 1 -maxdepth 1 ! -name internal -exec rm -r {} +
rm -rf manifests/argocd manifests/base manifests/overlays manifests/rendered
cp -R "$0"/. .
make -s build render
git add -A
git -c user.name=test -c user.email=test@localhost commit -qm fleet`, content)
	return dir
}

// Programs puts the programs that make has built in root into dir, a clone of it, and shares its .tools.
func Programs(t *testing.T, root, dir string) {
	t.Helper()
	bash(t, root, `mkdir -p "$0/bin" && cp bin/filterbuild bin/wasmfleet "$0/bin" && touch "$0"/bin/*
[ -e "$0/.tools" ] || ln -s "$PWD/.tools" "$0/.tools"`, dir)
}

// Modules puts what make has built in from into dir, a clone of it: there is nothing to compile.
func Modules(t *testing.T, from, dir string) {
	t.Helper()
	bash(t, from, `cp -R build "$0/build"`, dir)
}

func bash(t *testing.T, dir, script string, args ...string) {
	t.Helper()
	cmd := exec.Command("bash", append([]string{"-euo", "pipefail", "-c", script}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
}
