//go:build envoy

package workflows

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// runSteps are the steps that run something, and the test that runs them. TestEveryStepHasATest holds the list to the files.
var runSteps = map[string]string{
	"ci.yaml/envoys/list": "TestEnvoys",
	"ci.yaml/ci/ci":       "TestCI",
	"ci.yaml/summary/rendered manifests, filter chains, images": "TestSummary",
	"product.yaml/suite/the suite":                              "TestCI",
	"product.yaml/envoys/soak, in its short form":               "TestCI",
	"publish.yaml/build/build":                                  "TestPublish",
	"publish.yaml/build/find what changed":                      "TestPublish",
	"publish.yaml/publish/push":                                 "TestPublish",
	"publish.yaml/pin/pin":                                      "TestPublish",
	"promote.yaml/promote/promote and push":                     "TestPromote",
	"promote.yaml/promote/open a pull request":                  "TestPromote",
}

// deleted ends a test of a file that a fork on another forge has deleted: there is nothing to run. Here, and in a fork before make init,
// the file must be there.
func deleted(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, path)); !os.IsNotExist(err) {
		return
	}
	about, err := os.ReadFile(filepath.Join(root, "Fork.mk"))
	require.NoError(t, err)
	require.NotContains(t, string(about), "\nREPO ?= ghcr.io/wasmfleet\n", "there is no %s, and this is no fork", path)
	t.Skipf("there is no %s: this fork has deleted it, and its jobs are not run here", path)
}

func workflows(t *testing.T) map[string]workflow {
	deleted(t, ".github")
	all, err := load(root)
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

func TestEveryStepHasATest(t *testing.T) {
	var steps []string
	for file, w := range workflows(t) {
		for id, j := range w.Jobs {
			for _, s := range j.Steps {
				if s.Run != "" {
					steps = append(steps, file+"/"+id+"/"+s.Name)
				}
			}
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(runSteps)), steps)
	sources, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	var code strings.Builder
	for _, file := range sources {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		code.Write(data)
	}
	for step, test := range runSteps {
		require.Contains(t, code.String(), "\nfunc "+test+"(t *testing.T) {", step)
	}
}

// actions are those that may be used, each at one commit.
var actions = []string{
	"actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1",          // v7.0.1
	"actions/setup-go@b7ad1dad31e06c5925ef5d2fc7ad053ef454303e",          // v7.0.0
	"actions/cache@27d5ce7f107fe9357f9df03efb73ab90386fccae",             // v5.0.5
	"actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f",   // v7.0.0
	"actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c", // v8.0.1
}

// permitted is the most that each job may do.
var permitted = map[string]map[string]string{
	"ci.yaml/envoys":       {"contents": "read"},
	"ci.yaml/ci":           {"contents": "read"},
	"ci.yaml/summary":      {"contents": "read"},
	"product.yaml/suite":   {"contents": "read"},
	"product.yaml/envoys":  {"contents": "read"},
	"publish.yaml/build":   {"contents": "read", "packages": "read"},
	"publish.yaml/publish": {"contents": "read", "packages": "write"},
	"publish.yaml/pin":     {"contents": "write"},
	"promote.yaml/promote": {"contents": "write", "pull-requests": "write", "packages": "read"},
}

// What zizmor and actionlint look at is theirs; this is what they cannot know.
func TestRules(t *testing.T) {
	for file, w := range workflows(t) {
		require.NotNil(t, w.Permissions, "%s: permissions: {} is missing at the top", file)
		require.Empty(t, w.Permissions, file)
		require.NotEmpty(t, w.Concurrency.Group, file)
		require.Equal(t, file == "ci.yaml" || file == "product.yaml", w.Concurrency.Cancel, "%s: what writes may not be cancelled", file)
		require.Equal(t, "bash", w.Defaults.Run.Shell, "%s: with this, and only with it, GitHub sets pipefail", file)
		for id, j := range w.Jobs {
			require.Equal(t, permitted[file+"/"+id], j.Permissions, "%s/%s", file, id)
			require.Positive(t, j.Timeout, "%s/%s", file, id)
			for _, s := range j.Steps {
				if s.Uses != "" {
					require.Contains(t, actions, s.Uses, file)
				}
				if strings.HasPrefix(s.Uses, "actions/checkout@") {
					require.Equal(t, "false", s.With["persist-credentials"], file)
				}
				require.NotRegexp(t, expression, s.Run, "%s/%s: what an expression holds would be code. give it by env", file, s.Name)
				for name, value := range s.Env {
					secret := name == "GH_TOKEN" || file+"/"+id == "publish.yaml/publish" && (name == "COSIGN_KEY" || name == "COSIGN_PASSWORD")
					require.Equal(t, secret, strings.Contains(value, "token") || strings.Contains(value, "secrets."), "%s/%s: %s", file, s.Name, name)
				}
			}
		}
	}
}

// What ci and product run is too long to be run in a test of itself: what they call must be there. product is for the repository
// of wasmfleet alone: a fork would pay for an hour of what it does not change.
func TestCI(t *testing.T) {
	all := workflows(t)
	calls := []string{".ci/run"}
	for _, job := range []job{all["ci.yaml"].Jobs["ci"], all["product.yaml"].Jobs["suite"], all["product.yaml"].Jobs["envoys"]} {
		calls = append(calls, job.Steps[len(job.Steps)-1].Run)
	}
	require.Equal(t, []string{".ci/run", `make ci ON="$ENVOY_VERSION"`, ".ci/run", "make soak SHORT=1"}, calls)
	for id, job := range all["product.yaml"].Jobs {
		require.Equal(t, "github.repository == 'wasmfleet/wasmfleet'", job.If, id)
	}
	script, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	require.NoError(t, err)
	called := regexp.MustCompile(`(?m)^make ([a-z0-9-]+)$`).FindAllStringSubmatch(string(script), -1)
	targets := []string{"ci", "soak"}
	for _, c := range called {
		targets = append(targets, c[1])
	}
	for _, target := range targets {
		cmd := exec.Command("make", "-n", target)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	require.Subset(t, targets, []string{"demo", "test", "fork", "check", "e2e"})
}
