package workflows

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	addheader = "filters/addheader/plugin.yaml"
	jwtfetch  = "filters/jwtfetch/plugin.yaml"
)

func (h *hub) publish(checkout string) (string, error) {
	h.t.Helper()
	return h.run(checkout, "publish.yaml", "publish", nil, "build", "publish, pin and push")
}

// A change of a filter that reaches main is published, pinned in dev and rendered by one commit; a second run changes nothing.
func TestPublish(t *testing.T) {
	h := newHub(t)
	checkout := h.checkout("runner-1")

	// The registry of a fork is empty: everything is published, also what dev pins. Then nothing has changed.
	out, err := h.publish(checkout)
	require.NoError(t, err, out)
	require.Contains(t, h.git(h.remote, "log", "-1", "--format=%s", "main"), "dev: addheader jwtfetch ")
	start := h.head("main")
	h.pushed = nil
	out, err = h.publish(checkout)
	require.NoError(t, err, out)
	require.Contains(t, out, "publish: dev already pins what main builds")
	require.Equal(t, start, h.head("main"))
	require.Empty(t, h.pushed)

	h.change("description: .*", "description: Another text.", addheader)
	merged := h.head("main")
	out, err = h.publish(checkout)
	require.NoError(t, err, out)
	pinned := h.head("main")
	require.Equal(t, merged, h.git(h.remote, "rev-parse", pinned+"^"), "one commit more")
	require.Equal(t, `manifests/overlays/dev/digests/kustomization.yaml
manifests/rendered/dev/extensions.istio.io_v1alpha1_wasmplugin_addheader.yaml`, h.git(h.remote, "diff", "--name-only", merged, pinned))
	rendered := h.git(h.remote, "show", pinned+":manifests/rendered/dev/extensions.istio.io_v1alpha1_wasmplugin_addheader.yaml")
	require.Regexp(t, `url: oci://`+h.repo()+`/addheader:\S+@sha256:[0-9a-f]{64}`, rendered)
	require.Equal(t, "github-actions[bot]", h.git(h.remote, "log", "-1", "--format=%an", pinned))
	require.Contains(t, h.git(h.remote, "log", "-1", "--format=%B", pinned), "dev: addheader: ")
	for _, path := range h.pushed {
		require.Contains(t, path, "/team/addheader/", "only what changed is published")
	}
	pushes := len(h.pushed)
	require.Positive(t, pushes)

	// Run again, here and on another runner.
	for _, checkout := range []string{checkout, h.checkout("runner-2")} {
		out, err = h.publish(checkout)
		require.NoError(t, err, out)
		require.Equal(t, pinned, h.head("main"))
		require.Len(t, h.pushed, pushes)
	}

	t.Run("an image was deleted", func(t *testing.T) { h.deleted(t) })
	t.Run("a push to main in between", func(t *testing.T) { h.racing(t) })
	t.Run("no credentials", func(t *testing.T) { h.withoutCredentials(t) })
	t.Run("a protected branch", func(t *testing.T) { h.protected(t) })
}

// An image that dev pins is gone from the registry: the next run brings it back, under the same digest.
func (h *hub) deleted(t *testing.T) {
	h.t = t
	before := h.head("main")
	pins := h.git(h.remote, "show", "main:manifests/overlays/dev/digests/kustomization.yaml")
	digest := regexp.MustCompile(`(?s)/addheader\n.*?(sha256:[0-9a-f]{64})`).FindStringSubmatch(pins)[1]
	url := "http://" + h.registry + "/v2/team/addheader/manifests/" + digest
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
	out, err := h.publish(h.checkout("runner-0"))
	require.NoError(t, err, out)
	require.Equal(t, http.StatusOK, ask(http.MethodGet))
	require.Equal(t, []string{"manifests/overlays/dev/digests/kustomization.yaml", "manifests/rendered/dev/extensions.istio.io_v1alpha1_wasmplugin_addheader.yaml"},
		strings.Fields(h.git(h.remote, "diff", "--name-only", before, "main")), "another tag, the same digest")
	require.Contains(t, h.git(h.remote, "show", "main:manifests/overlays/dev/digests/kustomization.yaml"), digest)
}

// Somebody pushes to main after publish has read it and before publish pushes: nothing of either is lost.
func (h *hub) racing(t *testing.T) {
	h.t = t
	checkout := h.checkout("runner-3")
	h.change("description: .*", "description: A third text.", addheader)
	before := h.head("main")
	// The hook runs once publish's own push has begun.
	somebody := h.checkout("somebody")
	hook := `#!/usr/bin/env bash
set -euo pipefail
[ ! -f "$HUB/raced" ] || exit 0
touch "$HUB/raced"
unset GIT_DIR GIT_INDEX_FILE
cd ` + somebody + `
git pull -q
sed -i.bak 's/^description: .*/description: Raced./' ` + jwtfetch + `
git -c user.name=somebody -c user.email=somebody@localhost commit -qm "a racing change of jwtfetch" ` + jwtfetch + `
git push -q origin HEAD:main
`
	require.NoError(t, os.WriteFile(filepath.Join(checkout, ".git", "hooks", "pre-push"), []byte(hook), 0o755))
	out, err := h.publish(checkout)
	require.NoError(t, err, out)
	require.Contains(t, out, "main moved on; again from there")
	subjects := h.git(h.remote, "log", "--format=%s", before+"..main")
	require.Regexp(t, `^dev: addheader jwtfetch \S+\na racing change of jwtfetch$`, subjects)
	pins := h.git(h.remote, "show", "main:manifests/overlays/dev/digests/kustomization.yaml")
	require.Equal(t, 2, strings.Count(pins, "oci://"+h.repo()), pins)
	out, err = h.publish(h.checkout("runner-4"))
	require.NoError(t, err, out)
	require.Contains(t, out, "dev already pins what main builds")
}

// A fork without access to its registry: the step fails and says why, and main keeps its pins.
func (h *hub) withoutCredentials(t *testing.T) {
	h.t = t
	h.change("description: .*", "description: A fourth text.", addheader)
	before, pushes := h.head("main"), len(h.pushed)
	out, err := h.run(h.checkout("runner-5"), "publish.yaml", "publish", map[string]string{"github.token": "wrong"}, "build", "publish, pin and push")
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
	checkout := h.checkout("runner-6")
	out, err := h.publish(checkout)
	require.Error(t, err)
	require.Contains(t, out, "publish: pushing to main failed. the images are published")
	require.Equal(t, before, h.head("main"))
	require.NoError(t, os.Remove(hook))
	out, err = h.publish(checkout)
	require.NoError(t, err, out)
	require.NotEqual(t, before, h.head("main"))
}
