//go:build envoy

package workflows

import (
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/test/clone"
)

// token is what the hosted runner would give a job, and what the registry here wants.
const token = "ghs_test"

// hub stands for what is hosted: a bare repository, a registry that wants the token, and the gh of a runner.
type hub struct {
	t        *testing.T
	dir      string
	source   string // a clone where all is built
	remote   string
	registry string // host of the registry

	beforePush string // a hook of the checkout that pushes pins
	key        string // the secret COSIGN_KEY; most repositories have none

	mu     sync.Mutex
	pushed []string // repository:tag or @digest of each manifest that was pushed
}

// newHub is one for the jobs of these files.
func newHub(t *testing.T, jobs string) *hub {
	deleted(t, jobs)
	h := &hub{t: t, dir: t.TempDir()}
	real := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != token {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}`, http.StatusUnauthorized)
			return
		}
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") {
			h.mu.Lock()
			h.pushed = append(h.pushed, r.URL.Path)
			h.mu.Unlock()
		}
		real.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	h.registry = strings.TrimPrefix(s.URL, "http://")

	require.NoError(t, tools())
	h.source = clone.Fleet(t, root)
	h.remote = filepath.Join(h.dir, "remote.git")
	h.git(h.dir, "clone", "-q", "--bare", h.source, h.remote)
	// gh on this machine: it writes down what it is asked, and knows the pull requests that it has made.
	bin := filepath.Join(h.dir, "bin")
	require.NoError(t, os.Mkdir(bin, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "gh"), []byte(`#!/usr/bin/env bash
set -euo pipefail
[ -n "$GH_TOKEN" ]
printf '%q ' "$@" >>"$HUB/gh.log"
echo >>"$HUB/gh.log"
case "$1 $2" in
  'auth setup-git') ;;
  'pr list') [ ! -f "$HUB/open" ] || echo 7 ;;
  'pr create') cat "${@: -1}" >"$HUB/body"; touch "$HUB/open" ;;
  *) exit 1 ;;
esac
`), 0o755))
	return h
}

func (h *hub) repo() string { return h.registry + "/team" }

func (h *hub) git(dir string, args ...string) string {
	h.t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=somebody", "-c", "user.email=somebody@localhost"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(h.t, err, "git %v: %s", args, out)
	return strings.TrimSpace(string(out))
}

// head is the commit of a branch of the remote; nothing when there is no such branch.
func (h *hub) head(branch string) string {
	return h.git(h.remote, "for-each-ref", "--format=%(objectname)", "refs/heads/"+branch)
}

// tools makes our tools, once.
var tools = sync.OnceValue(func() error {
	cmd := exec.Command("make", "-s", "bin/filterbuild", "bin/wasmfleet")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
})

// checkout is what actions/checkout leaves, with the tools of this tree.
func (h *hub) checkout(name string) string {
	h.t.Helper()
	dir := filepath.Join(h.dir, name)
	require.NoError(h.t, os.RemoveAll(dir))
	h.git(h.dir, "clone", "-q", h.remote, dir)
	clone.Programs(h.t, root, dir)
	return dir
}

// change pushes a commit of somebody's to main.
func (h *hub) change(from, to, file string) {
	dir := filepath.Join(h.t.TempDir(), "somebody")
	h.git(h.dir, "clone", "-q", h.remote, dir)
	path := filepath.Join(dir, file)
	old, err := os.ReadFile(path)
	require.NoError(h.t, err)
	changed := regexp.MustCompile(from).ReplaceAllString(string(old), to)
	require.NotEqual(h.t, string(old), changed)
	require.NoError(h.t, os.WriteFile(path, []byte(changed), 0o644))
	h.git(dir, "commit", "-qam", "a change of "+file)
	h.git(dir, "push", "-q", "origin", "HEAD:main")
}

// run runs the steps of a job as the hosted runner does: the script in a file, bash as it calls it, the step's environment, and
// artifacts that go from job to job. It returns the outputs of the job and what its steps said.
func (h *hub) run(checkout, file, id string, inputs map[string]string) (outputs map[string]string, said string, err error) {
	h.t.Helper()
	temp := filepath.Join(h.dir, "runner")
	require.NoError(h.t, os.MkdirAll(temp, 0o755))
	values := map[string]string{"runner.temp": temp, "github.token": token, "secrets.COSIGN_KEY": h.key, "secrets.COSIGN_PASSWORD": "pw"}
	maps.Copy(values, inputs)
	job := workflows(h.t)[file].Jobs[id]
	require.NotEmpty(h.t, job.Steps, "%s has no job %s", file, id)
	var output strings.Builder
	for _, s := range job.Steps {
		wanted, err := holds(s.If, values)
		require.NoError(h.t, err)
		switch action, _, _ := strings.Cut(s.Uses, "@"); {
		case !wanted:
		case action == "actions/upload-artifact":
			h.upload(checkout, s.With)
		case action == "actions/download-artifact":
			h.download(checkout, s.With)
		case s.Run != "":
			out, err := h.script(checkout, temp, s, values)
			output.WriteString(out)
			if err != nil {
				return nil, output.String(), err
			}
		}
	}
	outputs = map[string]string{}
	for name, value := range job.Outputs {
		outputs[name], err = evaluate(value, values)
		require.NoError(h.t, err)
	}
	return outputs, output.String(), nil
}

// script runs one step, and adds its outputs to the values.
func (h *hub) script(checkout, temp string, s step, values map[string]string) (string, error) {
	file, outputs := filepath.Join(temp, "script.sh"), filepath.Join(temp, "output")
	require.NoError(h.t, os.WriteFile(file, []byte(s.Run), 0o644))
	require.NoError(h.t, os.WriteFile(outputs, nil, 0o644))
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", file)
	cmd.Dir = checkout
	cmd.Env = append(os.Environ(), "REPO="+h.repo(), "HUB="+h.dir, "PATH="+filepath.Join(h.dir, "bin")+":"+os.Getenv("PATH"),
		"GITHUB_ACTOR=somebody", "GITHUB_REF_NAME=main", "GITHUB_STEP_SUMMARY="+filepath.Join(temp, "summary.md"), "GITHUB_OUTPUT="+outputs,
		"GIT_CONFIG_GLOBAL="+filepath.Join(temp, "gitconfig"), "MAKEFLAGS=", "MFLAGS=", "MAKELEVEL=",
		"PROMOTEFLAGS=--allow-loopback") // the registry is on this machine
	for name, value := range s.Env {
		value, err := evaluate(value, values)
		require.NoError(h.t, err)
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	data, failed := os.ReadFile(outputs)
	require.NoError(h.t, failed)
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		values["steps."+s.ID+".outputs."+name] = value
	}
	return string(out), err
}

// upload keeps files under their names, as they are in the folder that they have in common.
func (h *hub) upload(checkout string, with map[string]string) {
	h.t.Helper()
	dir := filepath.Join(h.dir, "artifacts", with["name"])
	require.NoError(h.t, os.RemoveAll(dir))
	require.NoError(h.t, os.MkdirAll(dir, 0o755))
	for _, pattern := range strings.Fields(with["path"]) {
		files, err := filepath.Glob(filepath.Join(checkout, pattern))
		require.NoError(h.t, err)
		require.NotEmpty(h.t, files, pattern)
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(h.t, err)
			require.NoError(h.t, os.WriteFile(filepath.Join(dir, filepath.Base(file)), data, 0o644))
		}
	}
}

func (h *hub) download(checkout string, with map[string]string) {
	h.t.Helper()
	to := filepath.Join(checkout, with["path"])
	require.NoError(h.t, os.MkdirAll(to, 0o755))
	require.NoError(h.t, os.CopyFS(to, os.DirFS(filepath.Join(h.dir, "artifacts", with["name"]))))
}
