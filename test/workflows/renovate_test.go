//go:build envoy

package workflows

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// renovate is what of .github/renovate.json finds pins. Its expressions are of RE2, as Go's are.
type renovate struct {
	EnabledManagers []string
	IgnorePaths     []string
	CustomManagers  []struct {
		Description                         string
		ManagerFilePatterns, MatchStrings   []string
		DepNameTemplate, DatasourceTemplate string
	}
	PackageRules []struct {
		MatchPackageNames, MatchDatasources []string
		GroupName                           string
	}
}

// held are variables of Tools.mk that no robot may change, each with its reason.
var held = map[string]string{
	"LLVM_VERSION":     "TinyGo is linked with it",
	"BINARYEN_VERSION": "the one that Debian has",
	"WASI_LIBC_SHA256": "the one that Debian has",
	"ENVOY_VERSION":    "read from the table of Envoys",
	"ZIZMOR_SHA256":    "goes with ZIZMOR_VERSION",
}

// pin is what a manager would update: a dependency, and where its version or digest begins.
type pin struct {
	dependency, file, value string
	at                      int
}

func tracked(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.Fields(string(out))
}

func text(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, file))
	require.NoError(t, err)
	return string(data)
}

// pins are those that the custom managers find. An expression that finds nothing is an error.
func (r renovate) pins(t *testing.T) (all []pin) {
	t.Helper()
	files := tracked(t)
	for _, m := range r.CustomManagers {
		require.NotEmpty(t, m.DatasourceTemplate, m.Description)
		for _, pattern := range m.ManagerFilePatterns {
			require.Regexp(t, "^/.*/$", pattern, "an expression stands between slashes")
			name := regexp.MustCompile(strings.Trim(pattern, "/"))
			for _, expression := range m.MatchStrings {
				found := 0
				re := regexp.MustCompile(expression)
				for _, file := range files {
					if !name.MatchString(file) {
						continue
					}
					content := text(t, file)
					for _, at := range re.FindAllStringSubmatchIndex(content, -1) {
						p := pin{dependency: m.DepNameTemplate, file: file}
						for i, group := range re.SubexpNames() {
							switch {
							case at[2*i] < 0:
							case group == "depName":
								p.dependency = content[at[2*i]:at[2*i+1]]
							case group == "currentValue":
								p.value, p.at = content[at[2*i]:at[2*i+1]], at[2*i]
							}
						}
						require.NotEmpty(t, p.dependency, m.Description)
						require.NotEmpty(t, p.value, m.Description)
						all = append(all, p)
						found++
					}
				}
				require.Positive(t, found, "%s: %s finds nothing", m.Description, expression)
			}
		}
	}
	return all
}

// Each version that this repository pins is found by one manager of Renovate, and by no two.
func TestRenovate(t *testing.T) {
	const file = ".github/renovate.json"
	deleted(t, file)
	config := text(t, file)
	require.NotContains(t, config, "://", "no registry is named but those that are the default")
	require.NotContains(t, config, "registryUrls")
	var r renovate
	require.NoError(t, json.Unmarshal([]byte(config), &r))
	pins := r.pins(t)
	of := func(file string, from, to int) (found []pin) {
		for _, p := range pins {
			if p.file == file && from <= p.at && p.at < to {
				found = append(found, p)
			}
		}
		return found
	}
	// wants holds each place that the expression finds in a file to one pin with the value of its last group.
	wants := func(file, expression string, excused map[string]string) {
		content, places := text(t, file), 0
		for _, at := range regexp.MustCompile(expression).FindAllStringSubmatchIndex(content, -1) {
			name, value := content[at[2]:at[3]], content[at[4]:at[5]]
			found := of(file, at[0], at[1])
			if excused[name] != "" {
				require.Empty(t, found, "%s: %s is changed, and is held: %s", file, name, excused[name])
				continue
			}
			require.Len(t, found, 1, "%s: %s %s is of how many managers? see .github/renovate.json", file, name, value)
			require.Equal(t, value, found[0].value, name)
			places++
		}
		require.Positive(t, places, file)
		require.Len(t, of(file, 0, len(content)), places, "%s: a manager finds what is no pin", file)
	}
	wants("Tools.mk", `(?m)^([A-Z_]+_(?:VERSION|SHA256))\s*:= (.*)$`, held)
	for name := range held {
		require.Contains(t, text(t, "Tools.mk"), name, "held, and gone")
	}
	wants("internal/istiocompat/envoys.txt", `(?m)^([^#\s]\S*) (\S+) .*$`, nil)
	wants("test/workflows/workflow_test.go", `"([\w-]+/[\w-]+)@[0-9a-f]{40}", *(?:// )?(.*)`, nil)

	// A package of Tools.mk is found by the path of its module.
	var programs []string
	for _, p := range pins {
		if p.file == "Tools.mk" && strings.Contains(p.dependency, "/") {
			programs = append(programs, p.dependency)
			require.NotContains(t, p.dependency, "/cmd/")
		}
	}
	require.Len(t, programs, strings.Count(text(t, "Tools.mk"), "_PKG ")+1, "and TinyGo")

	// Renovate's own managers: the go.mod of each module, and workflows, whose pins carry a version as a comment.
	require.Equal(t, []string{"gomod", "github-actions", "custom.regex"}, r.EnabledManagers)
	require.Equal(t, []string{"**/testdata/**"}, r.IgnorePaths, "test/ holds modules, too: a preset that leaves it out is none for here")
	uses := regexp.MustCompile(`(?m)^\s*(?:- )?uses: (.*)$`)
	modules, steps := 0, 0
	for _, file := range tracked(t) {
		if filepath.Base(file) == "go.mod" && !strings.Contains(file, "/testdata/") {
			modules++
		}
		if strings.HasPrefix(file, ".github/workflows/") {
			for _, m := range uses.FindAllStringSubmatch(text(t, file), -1) {
				steps++
				action, version, _ := strings.Cut(m[1], " # ")
				require.Regexp(t, `^v\d+\.\d+\.\d+$`, version, "%s: %s says no version", file, m[1])
				require.Regexp(t, `"`+regexp.QuoteMeta(action)+`", +// `+regexp.QuoteMeta(version)+"\n", text(t, "test/workflows/workflow_test.go"), "one commit has one version")
			}
		}
	}
	require.Greater(t, modules, 1)
	require.Positive(t, steps)

	// What stands in two files changes in both at once.
	groups := map[string]string{}
	for _, rule := range r.PackageRules {
		for _, name := range append(rule.MatchPackageNames, rule.MatchDatasources...) {
			if rule.GroupName != "" {
				groups[name] = rule.GroupName
			}
		}
	}
	require.Equal(t, map[string]string{"github.com/tinygo-org/tinygo": "TinyGo", "github-tags": "actions"}, groups)
}
