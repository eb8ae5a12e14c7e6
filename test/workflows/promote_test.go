package workflows

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func (h *hub) promote(checkout, to, filter string) (string, error) {
	h.t.Helper()
	return h.run(checkout, "promote.yaml", "promote", map[string]string{"inputs.to": to, "inputs.filter": filter}, "promote, push and open")
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
	h := newHub(t)
	checkout := h.checkout("runner")

	// All filters; the pull request is merged. Then there is nothing to promote.
	out, err := h.publish(checkout)
	require.NoError(t, err, out)
	out, err = h.promote(checkout, "staging", "")
	require.NoError(t, err, out)
	require.Contains(t, h.asked(), `pr create --base main --head promote/staging --title promote\ all\ filters\ to\ staging `)
	h.merge("promote/staging")
	out, err = h.promote(checkout, "staging", "")
	require.NoError(t, err, out)
	require.Contains(t, out, "promote: nothing to do: staging already has these pins")
	require.Empty(t, h.asked())

	h.change("description: .*", "description: Another text.", addheader)
	out, err = h.publish(checkout)
	require.NoError(t, err, out)
	main := h.head("main")
	h.asked()

	out, err = h.promote(checkout, "staging", "addheader")
	require.NoError(t, err, out)
	require.Equal(t, main, h.head("main"), "only a pull request changes main")
	branch := "promote/staging-addheader"
	require.Equal(t, `manifests/overlays/staging/digests/kustomization.yaml
manifests/rendered/staging/extensions.istio.io_v1alpha1_wasmplugin_addheader.yaml`, h.git(h.remote, "diff", "--name-only", "main", branch))
	require.Equal(t, `pr list --head promote/staging-addheader --base main --state open --json number --jq .\[\].number `+`
pr create --base main --head promote/staging-addheader --title promote\ addheader\ to\ staging --body-file build/body`, h.asked())
	body, err := os.ReadFile(filepath.Join(h.dir, "body"))
	require.NoError(t, err)
	require.Regexp(t, `(?m)^    staging: addheader: \S+ -> `+h.repo()+`/addheader:\S+@sha256:[0-9a-f]{64}$`, string(body))

	// Again: the pull request that is open has the new state, there is no second one.
	out, err = h.promote(checkout, "staging", "addheader")
	require.NoError(t, err, out)
	require.Contains(t, out, "promote: the open pull request of promote/staging-addheader has the new state")
	require.NotContains(t, h.asked(), "pr create")
	require.Equal(t, main, h.git(h.remote, "rev-parse", branch+"^"))

	// What somebody types is a name or nothing.
	for _, bad := range [][2]string{{"staging'; touch pwned; '", ""}, {"staging", "$(touch pwned)"}, {"--dry-run", ""}, {"", ""}, {"../x", ""}} {
		out, err = h.promote(checkout, bad[0], bad[1])
		require.Error(t, err, out)
		require.Contains(t, out, "is no name of an environment or filter")
		require.Empty(t, h.asked())
	}
	require.NoFileExists(t, filepath.Join(checkout, "pwned"))
	out, err = h.promote(checkout, "nowhere", "")
	require.Error(t, err)
	require.Contains(t, out, `unknown environment "nowhere"`)

	// An image that is gone is not promoted: prod pins, by way of staging, what no registry has.
	h.merge(branch)
	h.change(`(name: filter://addheader\n(?:.*\n){2}  digest: sha256:)[0-9a-f]{64}`, "${1}"+strings.Repeat("0", 64), "manifests/overlays/staging/digests/kustomization.yaml")
	out, err = h.promote(checkout, "prod", "addheader")
	require.Error(t, err)
	require.Contains(t, out, "is not in its registry. publish it, or copy it there by digest. nothing was written")
	require.Empty(t, h.head("promote/prod-addheader"))
}

// The job summary of a pull request is what make diff prints.
func TestSummary(t *testing.T) {
	h := newHub(t)
	base := h.head("main")
	h.change("value: .*", "value: another", "manifests/overlays/dev/addheader-config.yaml")
	h.change("value: .*", "value: another", "manifests/rendered/dev/extensions.istio.io_v1alpha1_wasmplugin_addheader.yaml")
	out, err := h.run(h.checkout("runner"), "ci.yaml", "summary", map[string]string{"github.event.pull_request.base.sha": base}, "rendered manifests, filter chains, images")
	require.NoError(t, err, out)
	summary, err := os.ReadFile(filepath.Join(h.dir, "runner", "summary.md"))
	require.NoError(t, err)
	require.Contains(t, out, string(summary))
	require.Regexp(t, `(?s)dev.*addheader.*another`, string(summary))
}
