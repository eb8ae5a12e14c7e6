// Package clone gives a test a copy of this repository to work in, as somebody who has just cloned it.
package clone

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// Tree copies what git knows, or would add, of the repository at root into a new folder and commits it there. .tools is shared.
func Tree(t *testing.T, root string) string {
	dir := t.TempDir()
	cmd := exec.Command("bash", "-c", `set -eu -o pipefail
git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - 2>/dev/null | tar -xf - -C "$DIR"
ln -s "$PWD/.tools" "$DIR/.tools"
cd "$DIR"
git init -q .
git add -A
git -c user.name=test -c user.email=test@localhost commit -qm clone`)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "DIR="+dir)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return dir
}
