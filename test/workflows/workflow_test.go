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
	"ci.yaml/test/demo, test, e2e, check":                       "TestCI",
	"ci.yaml/summary/rendered manifests, filter chains, images": "TestSummary",
	"publish.yaml/publish/build":                                "TestPublish",
	"publish.yaml/publish/publish, pin and push":                "TestPublish",
	"promote.yaml/promote/promote, push and open":               "TestPromote",
}

func workflows(t *testing.T) map[string]workflow {
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
	"actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1",
	"actions/setup-go@b7ad1dad31e06c5925ef5d2fc7ad053ef454303e",
}

// permitted is the most that each job may do.
var permitted = map[string]map[string]string{
	"ci.yaml/test":         {"contents": "read"},
	"ci.yaml/summary":      {"contents": "read"},
	"publish.yaml/publish": {"contents": "write", "packages": "write"},
	"promote.yaml/promote": {"contents": "write", "pull-requests": "write", "packages": "read"},
}

// What zizmor and actionlint look at is theirs; this is what they cannot know.
func TestRules(t *testing.T) {
	for file, w := range workflows(t) {
		require.NotNil(t, w.Permissions, "%s: permissions: {} is missing at the top", file)
		require.Empty(t, w.Permissions, file)
		require.NotEmpty(t, w.Concurrency.Group, file)
		require.Equal(t, file == "ci.yaml", w.Concurrency.Cancel, "%s: only ci may be cancelled: the others write", file)
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
					require.Equal(t, name == "GH_TOKEN", strings.Contains(value, "token") || strings.Contains(value, "secrets."), "%s/%s: %s", file, s.Name, name)
				}
			}
		}
	}
}

// What ci runs is too long to be run in a test of itself: what it calls must be there.
func TestCI(t *testing.T) {
	require.Equal(t, ".ci/run", workflows(t)["ci.yaml"].Jobs["test"].Steps[2].Run)
	script, err := os.ReadFile(filepath.Join(root, ".ci", "run"))
	require.NoError(t, err)
	called := regexp.MustCompile(`(?m)^make ([a-z0-9-]+)$`).FindAllStringSubmatch(string(script), -1)
	var targets []string
	for _, c := range called {
		targets = append(targets, c[1])
		cmd := exec.Command("make", "-n", c[1])
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	require.Subset(t, targets, []string{"test", "check", "e2e"})
}
