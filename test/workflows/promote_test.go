//go:build envoy

package workflows

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/istiocompat"
)

func (h *hub) promote(to, filter string) (string, error) {
	h.t.Helper()
	_, out, err := h.run(h.checkout("promote"), "promote.yaml", "promote", map[string]string{"inputs.to": to, "inputs.filter": filter})
	return out, err
}

// asked is what gh was asked since the last time, without the set-up that every run begins with.
func (h *hub) asked() string {
	data, err := os.ReadFile(filepath.Join(h.dir, "gh.log"))
	require.NoError(h.t, err)
	require.NoError(h.t, os.Remove(filepath.Join(h.dir, "gh.log")))
	return strings.TrimSpace(strings.ReplaceAll(string(data), "auth setup-git \n", ""))
}

// merge merges a pull request, which closes it.
func (h *hub) merge(branch string) {
	h.git(h.remote, "update-ref", "refs/heads/main", "refs/heads/"+branch)
	require.NoError(h.t, os.Remove(filepath.Join(h.dir, "open")))
}

// A dispatch opens one pull request with the pins and the rendered manifests of one environment; a second updates it.
func TestPromote(t *testing.T) {
	t.Parallel()
	h := newHub(t, ".github")

	// All filters; the pull request is merged. Then there is nothing to promote.
	out, err := h.publish(nil)
	require.NoError(t, err, out)
	out, err = h.promote("second", "")
	require.NoError(t, err, out)
	require.Contains(t, h.asked(), `pr create --base main --head promote/second --title promote\ all\ filters\ to\ second `)
	h.merge("promote/second")
	out, err = h.promote("second", "")
	require.NoError(t, err, out)
	require.Contains(t, out, "promote: nothing to do: second already has these pins")
	require.Empty(t, h.asked())

	h.change("description: .*", "description: Another text.", one)
	out, err = h.publish(nil)
	require.NoError(t, err, out)
	main := h.head("main")
	h.asked()

	out, err = h.promote("second", "one")
	require.NoError(t, err, out)
	require.Equal(t, main, h.head("main"), "only a pull request changes main")
	branch := "promote/second-one"
	require.Equal(t, `manifests/overlays/second/digests/kustomization.yaml
manifests/overlays/second/digests/modules.yaml
manifests/rendered/second/extensions.istio.io_v1alpha1_wasmplugin_one.yaml`, h.git(h.remote, "diff", "--name-only", "main", branch))
	require.Equal(t, `pr list --head promote/second-one --base main --state open --json number --jq .\[\].number `+`
pr create --base main --head promote/second-one --title promote\ one\ to\ second --body-file build/body`, h.asked())
	body, err := os.ReadFile(filepath.Join(h.dir, "body"))
	require.NoError(t, err)
	require.Regexp(t, `(?m)^    second: one: \S+ -> `+h.repo()+`/one:\S+@sha256:[0-9a-f]{64}$`, string(body))

	// Again: the pull request that is open has the new state, there is no second one.
	out, err = h.promote("second", "one")
	require.NoError(t, err, out)
	require.Contains(t, out, "promote: the open pull request of promote/second-one has the new state")
	require.NotContains(t, h.asked(), "pr create")
	require.Equal(t, main, h.git(h.remote, "rev-parse", branch+"^"))

	// What somebody types is a name or nothing.
	for _, bad := range [][2]string{{"second'; touch pwned; '", ""}, {"second", "$(touch pwned)"}, {"--dry-run", ""}, {"", ""}, {"../x", ""}} {
		out, err = h.promote(bad[0], bad[1])
		require.Error(t, err, out)
		require.Contains(t, out, "is no name of an environment or filter")
		require.Empty(t, h.asked())
	}
	require.NoFileExists(t, filepath.Join(h.dir, "promote", "pwned"))
	out, err = h.promote("nowhere", "")
	require.Error(t, err)
	require.Contains(t, out, `unknown environment "nowhere"`)

	// An image that is gone is not promoted: third pins, by way of second, what no registry has.
	h.merge(branch)
	h.change(`(name: filter://one\n(?:.*\n){2}  digest: sha256:)[0-9a-f]{64}`, "${1}"+strings.Repeat("0", 64), "manifests/overlays/second/digests/kustomization.yaml")
	out, err = h.promote("third", "one")
	require.Error(t, err)
	require.Contains(t, out, "is not in its registry. publish it, or copy it there by digest. nothing was written")
	require.Empty(t, h.head("promote/third-one"))
}

// The job summary of a pull request is what make diff prints.
func TestSummary(t *testing.T) {
	t.Parallel()
	h := newHub(t, ".github")
	base := h.head("main")
	h.change("v: base", "v: another", "manifests/base/one/wasmplugin.yaml")
	h.change("v: base", "v: another", rendered)
	_, out, err := h.run(h.checkout("runner"), "ci.yaml", "summary", map[string]string{"github.event.pull_request.base.sha": base, "github.event_name == 'pull_request'": "yes"})
	require.NoError(t, err, out)
	summary, err := os.ReadFile(filepath.Join(h.dir, "runner", "summary.md"))
	require.NoError(t, err)
	require.Contains(t, out, string(summary))
	require.Regexp(t, `(?s)first.*one.*another`, string(summary))
}

// The matrix of ci.yaml is a list of versions, as JSON.
func TestEnvoys(t *testing.T) {
	t.Parallel()
	h := newHub(t, ".github")
	outputs, out, err := h.run(h.checkout("runner"), "ci.yaml", "envoys", nil)
	require.NoError(t, err, out)
	var versions []string
	require.NoError(t, json.Unmarshal([]byte(outputs["versions"]), &versions), outputs["versions"])
	require.Equal(t, istiocompat.TestedEnvoys(), versions)
}
