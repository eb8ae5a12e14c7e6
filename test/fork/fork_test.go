//go:build envoy && fork

// Package fork is the story of a fork: what a team changes in its first days, that everything stays green there, and that a later
// version merges into it. What it changes is in testdata. Nothing of this runs inside a fork: it has the build tag fork.
package fork

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/test/clone"
)

const root = "../.."

// repository is a working tree of git.
type repository struct {
	t   *testing.T
	dir string
}

// run runs a command in bash and returns what it said.
func (r repository) run(command string) string {
	r.t.Helper()
	out, err := r.try(command)
	require.NoError(r.t, err, "%s\n%s", command, out)
	return out
}

func (r repository) try(command string) (string, error) {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", command)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MFLAGS=", "MAKELEVEL=", "GIT_AUTHOR_NAME=acme", "GIT_AUTHOR_EMAIL=acme@localhost",
		"GIT_COMMITTER_NAME=acme", "GIT_COMMITTER_EMAIL=acme@localhost")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// script runs a file of testdata.
func (r repository) script(name string) {
	r.t.Helper()
	file, err := filepath.Abs(filepath.Join("testdata", name))
	require.NoError(r.t, err)
	r.run(file)
}

func start(t *testing.T) (upstream, fork repository) {
	upstream = repository{t, clone.Tree(t, root)}
	clone.Programs(t, root, upstream.dir)
	clone.Modules(t, root, upstream.dir)
	fork = repository{t, filepath.Join(t.TempDir(), "fork")}
	upstream.run("git clone -q . " + fork.dir)
	clone.Programs(t, root, fork.dir)
	clone.Modules(t, root, fork.dir)
	fork.script("fork.sh")
	return upstream, fork
}

func TestFork(t *testing.T) {
	upstream, fork := start(t)
	t.Run("is green", func(t *testing.T) { fork.t = t; fork.green() })
	t.Run("upgrades", func(t *testing.T) { fork.t, upstream.t = t, t; fork.upgrade(upstream) })
}

// green: a fork that changes content only passes what it runs.
func (r repository) green() {
	for _, target := range []string{"ci", "test", "check"} {
		begin := time.Now()
		out := r.run("make " + target)
		r.t.Logf("make %s: %s", target, time.Since(begin).Round(time.Second))
		if target == "test" {
			require.Regexp(r.t, `(?m)^docs/gitops\.md: sample \S+ is gone: not run here$`, out)
		}
	}
	require.Regexp(r.t, `^scripts/demo\.sh: sample \S+ is gone: not run here\n`, r.run("make -s demo 2>/dev/null")+"\n")
	require.Empty(r.t, r.run("git status --porcelain"))
}

// upgrade: a later version of everything merges into the fork by one command. What is the fork's own is as it was.
func (r repository) upgrade(upstream repository) {
	fork, t := r, r.t
	before := fork.run("git rev-parse HEAD")
	upstream.script("upstream.sh")
	command := "make -s upgrade FROM=" + upstream.dir + " REF=main"

	require.NoError(t, os.WriteFile(filepath.Join(fork.dir, "README.md"), []byte("mine\n"), 0o644))
	out, err := fork.try(command)
	require.Error(t, err)
	require.Contains(t, out, "upgrade: there are changes that are not committed")
	fork.run("git checkout -q README.md")

	out = fork.run(command)
	t.Log(out)
	require.Empty(t, fork.run("git status --porcelain"))
	require.Equal(t, before, fork.run("git rev-parse HEAD^1"))
	require.Equal(t, upstream.run("git rev-parse HEAD"), fork.run("git rev-parse HEAD^2"))
	changed := strings.Fields(fork.run("git diff --name-only HEAD^1 HEAD"))
	want := []string{"Makefile", "Tools.mk", "internal/lint/lint.go", "filters/internal/pluginconfig/pluginconfig.go",
		"manifests/components/filter-image/kustomization.yaml"}
	theirs, err := os.ReadFile(filepath.Join("testdata", "taken"))
	require.NoError(t, err)
	require.ElementsMatch(t, append(want, strings.Fields(string(theirs))...), changed)
	kept, err := os.ReadFile(filepath.Join("testdata", "said"))
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(kept)), "\n")
	for _, line := range lines {
		require.Contains(t, out, line)
	}
	require.Len(t, strings.Split(out, "\n"), len(lines)+1, "and how many commits were merged")

	fork.run("make -s build render")
	require.Empty(t, fork.run("git status --porcelain -- manifests"), "what is rendered is what was committed")
	require.Contains(t, fork.run(command), "upgrade: nothing to do")

	// A conflict in the product itself is somebody's to resolve, and is said.
	upstream.run("echo '# Theirs.' >>Tools.mk && git commit -qam theirs")
	fork.run("echo '# Ours.' >>Tools.mk && git commit -qam ours")
	out, err = fork.try(command)
	require.Error(t, err)
	require.Contains(t, out, "upgrade: these files were changed on both sides. they are the product's")
	require.Contains(t, out, "\nTools.mk")
}
