//go:build envoy

package workflows

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/test/clone"
)

const (
	one = "filters/one/plugin.yaml"
	two = "filters/two/plugin.yaml"

	pins     = "manifests/overlays/first/digests/kustomization.yaml"
	facts    = "manifests/overlays/first/digests/modules.yaml"
	rendered = "manifests/rendered/first/extensions.istio.io_v1alpha1_wasmplugin_one.yaml"
)

// publish runs the jobs of publish.yaml, each on a runner of its own. What a job may not do is not there: the one that pushes images
// has no compiler, the one that pins no modules.
func (h *hub) publish(inputs map[string]string) (said string, err error) {
	h.t.Helper()
	build := h.checkout("build")
	clone.Modules(h.t, h.source, build)
	outputs, out, err := h.run(build, "publish.yaml", "build", inputs)
	said += out
	if err != nil || outputs["changed"] == "" {
		return said, err
	}
	_, out, err = h.run(h.checkout("publish"), "publish.yaml", "publish", inputs)
	said += out
	if err != nil {
		return said, err
	}
	pin := h.checkout("pin")
	if h.beforePush != "" {
		require.NoError(h.t, os.WriteFile(filepath.Join(pin, ".git", "hooks", "pre-push"), []byte(h.beforePush), 0o755))
	}
	_, out, err = h.run(pin, "publish.yaml", "pin", inputs)
	return said + out, err
}

// A change of a filter that reaches main is published, pinned where published images enter and rendered by one commit; a second run
// changes nothing.
func TestPublish(t *testing.T) {
	t.Parallel()
	h := newHub(t, ".github")

	// The registry of a fork is empty: everything is published, also what is pinned. Then nothing has changed.
	out, err := h.publish(nil)
	require.NoError(t, err, out)
	require.Contains(t, h.git(h.remote, "log", "-1", "--format=%s", "main"), "first: one two ")
	start := h.head("main")
	h.pushed = nil
	out, err = h.publish(nil)
	require.NoError(t, err, out)
	require.Contains(t, out, "publish: first already pins what this commit builds")
	require.Equal(t, start, h.head("main"))
	require.Empty(t, h.pushed)

	h.change("description: .*", "description: Another text.", one)
	merged := h.head("main")
	out, err = h.publish(nil)
	require.NoError(t, err, out)
	pinned := h.head("main")
	require.Equal(t, merged, h.git(h.remote, "rev-parse", pinned+"^"), "one commit more")
	require.Equal(t, strings.Join([]string{pins, facts, rendered}, "\n"), h.git(h.remote, "diff", "--name-only", merged, pinned))
	require.Regexp(t, `url: oci://`+h.repo()+`/one:\S+@sha256:[0-9a-f]{64}`, h.git(h.remote, "show", pinned+":"+rendered))
	require.Equal(t, "github-actions[bot]", h.git(h.remote, "log", "-1", "--format=%an", pinned))
	require.Contains(t, h.git(h.remote, "log", "-1", "--format=%B", pinned), "first: one: ")
	for _, path := range h.pushed {
		require.Contains(t, path, "/team/one/", "only what changed is published")
	}
	pushes := len(h.pushed)
	require.Positive(t, pushes)

	out, err = h.publish(nil)
	require.NoError(t, err, out)
	require.Equal(t, pinned, h.head("main"))
	require.Len(t, h.pushed, pushes)

	t.Run("signed", func(t *testing.T) { h.signed(t) })
	t.Run("an image was deleted", func(t *testing.T) { h.deleted(t) })
	t.Run("a push to main in between", func(t *testing.T) { h.racing(t) })
	t.Run("no credentials", func(t *testing.T) { h.withoutCredentials(t) })
	t.Run("a protected branch", func(t *testing.T) { h.protected(t) })
}

// With the secret COSIGN_KEY what is published is signed; the key is in no log.
func (h *hub) signed(t *testing.T) {
	h.t = t
	const keys = root + "/internal/attest/testdata/cosign"
	key, err := os.ReadFile(filepath.Join(keys, "cosign.key"))
	require.NoError(t, err)
	h.key = string(key)
	defer func() { h.key = "" }()
	h.change("description: .*", "description: A signed text.", one)
	out, err := h.publish(nil)
	require.NoError(t, err, out)
	require.Contains(t, out, " signed\n")
	require.NotContains(t, out, strings.Split(h.key, "\n")[1])
	ref := regexp.MustCompile(`url: oci://(\S+@sha256:[0-9a-f]{64})`).FindStringSubmatch(h.git(h.remote, "show", "main:"+rendered))[1]
	public, err := filepath.Abs(filepath.Join(keys, "cosign.pub"))
	require.NoError(t, err)
	cmd := exec.Command("bin/wasmfleet", "inspect", "--key", public, ref)
	cmd.Dir, cmd.Env = root, append(os.Environ(), "DOCKER_CONFIG="+filepath.Join(h.dir, "runner", "docker"))
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, string(said))
	require.Contains(t, string(said), "https://slsa.dev/provenance/v1: built by")
}

// An image that is pinned is gone from the registry: the next run brings it back, under the same digest.
func (h *hub) deleted(t *testing.T) {
	h.t = t
	before := h.head("main")
	digest := regexp.MustCompile(`(?s)/one\n.*?(sha256:[0-9a-f]{64})`).FindStringSubmatch(h.git(h.remote, "show", "main:"+pins))[1]
	url := "http://" + h.registry + "/v2/team/one/manifests/" + digest
	ask := func(method string) int {
		request, err := http.NewRequest(method, url, nil)
		require.NoError(t, err)
		request.SetBasicAuth("somebody", token)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	require.Equal(t, http.StatusAccepted, ask(http.MethodDelete))
	require.Equal(t, http.StatusNotFound, ask(http.MethodGet))
	out, err := h.publish(nil)
	require.NoError(t, err, out)
	require.Equal(t, http.StatusOK, ask(http.MethodGet))
	require.Equal(t, []string{pins, rendered}, strings.Fields(h.git(h.remote, "diff", "--name-only", before, "main")), "another tag, the same digest")
	require.Contains(t, h.git(h.remote, "show", "main:"+pins), digest)
}

// Somebody pushes to main before the pins are pushed: nothing of either is lost, and the next run publishes what came in between.
func (h *hub) racing(t *testing.T) {
	h.t = t
	h.change("description: .*", "description: A third text.", one)
	before := h.head("main")
	somebody := h.checkout("somebody")
	h.beforePush = `#!/usr/bin/env bash
set -euo pipefail
[ ! -f "$HUB/raced" ] || exit 0
touch "$HUB/raced"
unset GIT_DIR GIT_INDEX_FILE
cd ` + somebody + `
git pull -q
sed -i.bak 's/^description: .*/description: Raced./' ` + two + `
git -c user.name=somebody -c user.email=somebody@localhost commit -qm "a racing change" ` + two + `
git push -q origin HEAD:main
`
	out, err := h.publish(nil)
	h.beforePush = ""
	require.NoError(t, err, out)
	require.Contains(t, out, "main moved on; again from there")
	require.Regexp(t, `^first: one \S+\na racing change$`, h.git(h.remote, "log", "--format=%s", before+"..main"))
	out, err = h.publish(nil)
	require.NoError(t, err, out)
	require.Regexp(t, `^first: two \S+$`, h.git(h.remote, "log", "-1", "--format=%s", "main"))
	out, err = h.publish(nil)
	require.NoError(t, err, out)
	require.Contains(t, out, "first already pins what this commit builds")
}

// A fork without access to its registry: the step fails and says why, and main keeps its pins.
func (h *hub) withoutCredentials(t *testing.T) {
	h.t = t
	h.change("description: .*", "description: A fourth text.", one)
	before, pushes := h.head("main"), len(h.pushed)
	out, err := h.publish(map[string]string{"github.token": "wrong"})
	require.Error(t, err)
	require.Contains(t, out, "answers 401. run \"docker login "+h.registry)
	require.Equal(t, before, h.head("main"))
	require.Len(t, h.pushed, pushes)
}

// A branch that takes no pushes: the step fails and says what to look at; when it may, it goes on from the published image.
func (h *hub) protected(t *testing.T) {
	h.t = t
	before := h.head("main")
	hook := filepath.Join(h.remote, "hooks", "pre-receive")
	require.NoError(t, os.WriteFile(hook, []byte("#!/bin/sh\necho protected branch hook declined >&2\nexit 1\n"), 0o755))
	out, err := h.publish(nil)
	require.Error(t, err)
	require.Contains(t, out, "publish: pushing to main failed. the images are published")
	require.Equal(t, before, h.head("main"))
	require.NoError(t, os.Remove(hook))
	out, err = h.publish(nil)
	require.NoError(t, err, out)
	require.NotEqual(t, before, h.head("main"))
}
