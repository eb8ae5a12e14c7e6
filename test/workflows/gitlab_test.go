//go:build envoy

package workflows

import (
	"bytes"
	"encoding/base64"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/wasmfleet/wasmfleet/test/clone"
)

// gitlabJob is a job of .gitlab-ci.yml. A key that is not here is an error: the tests would not see what it does.
type gitlabJob struct {
	Extends       string   `yaml:"extends"`
	Stage         string   `yaml:"stage"`
	Timeout       string   `yaml:"timeout"`
	Interruptible bool     `yaml:"interruptible"`
	Needs         []string `yaml:"needs"`
	ResourceGroup string   `yaml:"resource_group"`
	Environment   struct {
		Name   string `yaml:"name"`
		Action string `yaml:"action"`
	} `yaml:"environment"`
	Rules []struct {
		If string `yaml:"if"`
	} `yaml:"rules"`
	Cache        yaml.Node `yaml:"cache"`
	BeforeScript []string  `yaml:"before_script"`
	Script       []string  `yaml:"script"`
	AfterScript  []string  `yaml:"after_script"`
	Artifacts    struct {
		ExposeAs string   `yaml:"expose_as"`
		Paths    []string `yaml:"paths"`
		ExpireIn string   `yaml:"expire_in"`
	} `yaml:"artifacts"`
}

// gitlab reads the jobs of .gitlab-ci.yml, each with what it extends, and the variables of all.
func gitlab(t *testing.T) (jobs map[string]gitlabJob, variables map[string]string) {
	deleted(t, ".gitlab-ci.yml")
	data, err := os.ReadFile(filepath.Join(root, ".gitlab-ci.yml"))
	require.NoError(t, err)
	var all map[string]yaml.Node
	require.NoError(t, yaml.Unmarshal(data, &all))
	decode := func(name string, into any) {
		text, err := yaml.Marshal(all[name])
		require.NoError(t, err)
		dec := yaml.NewDecoder(bytes.NewReader(text))
		dec.KnownFields(true)
		require.NoError(t, dec.Decode(into), name)
	}
	decode("variables", &variables)
	jobs = map[string]gitlabJob{}
	for name := range all {
		if slices.Contains([]string{"workflow", "stages", "variables"}, name) || strings.HasPrefix(name, ".") {
			continue
		}
		var job gitlabJob
		decode(name, &job)
		if job.Extends != "" { // what the job says itself comes first
			var base gitlabJob
			decode(job.Extends, &base)
			if job.BeforeScript == nil {
				job.BeforeScript = base.BeforeScript
			}
			if job.AfterScript == nil {
				job.AfterScript = base.AfterScript
			}
		}
		jobs[name] = job
	}
	return jobs, variables
}

func TestGitLabRules(t *testing.T) {
	const (
		merge  = `$CI_PIPELINE_SOURCE == "merge_request_event"`
		branch = "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && $PROMOTE_TO"
	)
	jobs, variables := gitlab(t)
	require.Equal(t, "0", variables["GIT_DEPTH"], "tags and the last pins are found in the history")
	type facts struct {
		rule, environment string
		needs             []string
	}
	got := map[string]facts{}
	for name, job := range jobs {
		require.Len(t, job.Rules, 1, name)
		require.NotEmpty(t, job.Timeout, name)
		require.NotEmpty(t, job.Script, name)
		require.Equal(t, job.Rules[0].If == merge, job.Interruptible, "%s: what writes may not be cancelled", name)
		if job.Environment.Name != "" {
			require.NotEmpty(t, job.ResourceGroup, name)
			require.Equal(t, "access", job.Environment.Action, "%s: it deploys nothing", name)
			require.True(t, job.Cache.IsZero(), "%s: a cache may come from a merge request", name)
		}
		got[name] = facts{job.Rules[0].If, job.Environment.Name, job.Needs}
	}
	require.Equal(t, map[string]facts{
		"ci":      {rule: merge},
		"summary": {rule: merge},
		"build":   {rule: branch + " == null"},
		"publish": {rule: branch + " == null", environment: "publish", needs: []string{"build"}},
		"pin":     {rule: branch + " == null", environment: "pin", needs: []string{"publish"}},
		"promote": {rule: branch, environment: "pin"},
	}, got)
	require.Equal(t, []string{"make ci"}, jobs["ci"].Script)

	text, err := os.ReadFile(filepath.Join(root, ".gitlab-ci.yml"))
	require.NoError(t, err)
	require.NotRegexp(t, `(?m)^ *(image|services|include):`, string(text), "code of others, which a tag does not hold still")
	for name := range variables {
		require.NotRegexp(t, "TOKEN|PASSWORD|KEY", name, "a secret is a masked variable of the project")
	}
}

// gitlabRun runs the commands of a job as a runner does: in a checkout of its own, with the artifacts of what it needs, and with the
// variables of its environment and no others.
func (h *hub) gitlabRun(name string, given map[string]string) (string, error) {
	h.t.Helper()
	jobs, variables := gitlab(h.t)
	job := jobs[name]
	checkout := h.checkout(name)
	h.git(checkout, "checkout", "-q", "--detach")
	if name == "build" { // what it would compile
		clone.Modules(h.t, h.source, checkout)
	}
	for _, need := range job.Needs {
		if dir := filepath.Join(h.dir, "artifacts", need); exists(dir) {
			require.NoError(h.t, os.MkdirAll(filepath.Join(checkout, "build"), 0o755))
			require.NoError(h.t, os.CopyFS(filepath.Join(checkout, "build"), os.DirFS(dir)))
		}
	}
	env := map[string]string{
		"CI": "true", "CI_DEFAULT_BRANCH": "main", "CI_COMMIT_BRANCH": "main", "CI_PROJECT_URL": strings.TrimSuffix(h.remote, ".git"),
		"CI_REGISTRY_USER": "somebody", "CI_REGISTRY_PASSWORD": token, "REPO": h.repo(), "PROMOTEFLAGS": "--allow-loopback",
		"GIT_CONFIG_GLOBAL": filepath.Join(h.dir, "gitconfig"), "MAKEFLAGS": "", "MFLAGS": "", "MAKELEVEL": "",
	}
	switch job.Environment.Name {
	case "publish":
		env["COSIGN_KEY_BASE64"], env["COSIGN_PASSWORD"] = base64.StdEncoding.EncodeToString([]byte(h.key)), "pw"
	case "pin":
		env["PUSH_TOKEN"] = token
	}
	maps.Copy(env, variables)
	maps.Copy(env, given)
	run := func(lines []string) (string, error) {
		cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", strings.Join(lines, "\n"))
		cmd.Dir, cmd.Env = checkout, os.Environ()
		for name, value := range env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := run(append(slices.Clone(job.BeforeScript), job.Script...))
	_, failed := run(job.AfterScript)
	require.NoError(h.t, failed)
	require.NoDirExists(h.t, filepath.Join(checkout, "build", "docker"), "credentials stay on no runner")
	config, failed := os.ReadFile(filepath.Join(checkout, ".git", "config"))
	require.NoError(h.t, failed)
	require.NotContains(h.t, string(config), token)
	if len(job.Artifacts.Paths) != 0 && err == nil {
		dir := filepath.Join(h.dir, "artifacts", name)
		require.NoError(h.t, os.RemoveAll(dir))
		require.NoError(h.t, os.MkdirAll(dir, 0o755))
		for _, pattern := range job.Artifacts.Paths { // one that is missing is a warning of GitLab's
			files, err := filepath.Glob(filepath.Join(checkout, pattern))
			require.NoError(h.t, err)
			for _, file := range files {
				data, err := os.ReadFile(file)
				require.NoError(h.t, err)
				require.NoError(h.t, os.WriteFile(filepath.Join(dir, filepath.Base(file)), data, 0o644))
			}
		}
	}
	return out, err
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// gitlabPublish runs the jobs of a pipeline of the default branch.
func (h *hub) gitlabPublish() (said string) {
	h.t.Helper()
	for _, name := range []string{"build", "publish", "pin"} {
		out, err := h.gitlabRun(name, nil)
		require.NoError(h.t, err, out)
		said += out
	}
	return said
}

// GitLab's jobs do what those of GitHub do: publish what changed, sign it, pin it; and a promotion is a branch that GitLab is told to
// make a merge request of.
func TestGitLab(t *testing.T) {
	t.Parallel()
	h := newHub(t, ".gitlab-ci.yml")
	h.git(h.remote, "config", "receive.advertisePushOptions", "true")
	options := filepath.Join(h.dir, "options")
	require.NoError(t, os.WriteFile(filepath.Join(h.remote, "hooks", "pre-receive"),
		[]byte("#!/bin/sh\necho \"$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0\" >"+options+"\n"), 0o755))

	key, err := os.ReadFile(filepath.Join(root, "internal/attest/testdata/cosign/cosign.key"))
	require.NoError(t, err)
	h.key = string(key)
	out := h.gitlabPublish()
	require.Contains(t, out, " signed\n")
	require.NotContains(t, out, strings.Split(h.key, "\n")[1])
	require.Contains(t, h.git(h.remote, "log", "-1", "--format=%an %s", "main"), "gitlab-ci first: one two ")
	require.Contains(t, h.git(h.remote, "show", "main:"+rendered), "url: oci://"+h.repo()+"/one:")
	h.key = ""

	// Nothing changed: nothing is published, and nothing is pushed.
	start := h.head("main")
	h.pushed = nil
	require.Contains(t, h.gitlabPublish(), "publish: first already pins what this commit builds")
	require.Equal(t, start, h.head("main"))
	require.Empty(t, h.pushed)

	// A pipeline whose last job runs after that of a later commit, or again, pins nothing old.
	h.change("description: .*", "description: Another text.", one)
	older := h.head("main")
	for _, name := range []string{"build", "publish"} {
		out, err := h.gitlabRun(name, nil)
		require.NoError(t, err, out)
	}
	refs := filepath.Join(h.dir, "artifacts", "publish", "refs")
	kept, err := os.ReadFile(refs)
	require.NoError(t, err)
	h.change("description: .*", "description: The last text.", one)
	require.NotContains(t, h.gitlabPublish(), " signed\n")
	last := h.head("main")
	require.NoError(t, os.WriteFile(refs, kept, 0o644))
	h.git(h.remote, "update-ref", "refs/heads/main", older) // for the checkout alone
	restore := []string{"git -C " + h.remote + " update-ref refs/heads/main " + last}
	out, err = h.gitlabRun("pin", map[string]string{"BASH_ENV": h.write("restore", restore)})
	require.NoError(t, err, out)
	require.Contains(t, out, "publish: main already pins what was built from ")
	require.Equal(t, last, h.head("main"))

	out, err = h.gitlabRun("promote", map[string]string{"PROMOTE_TO": "second", "PROMOTE_FILTER": "one"})
	require.NoError(t, err, out)
	require.Equal(t, last, h.head("main"), "only a merge request changes main")
	require.Equal(t, last, h.git(h.remote, "rev-parse", "promote/second-one^"))
	said, err := os.ReadFile(options)
	require.NoError(t, err)
	require.Equal(t, "1 merge_request.create\n", string(said))
	out, err = h.gitlabRun("promote", map[string]string{"PROMOTE_TO": "$(touch pwned)"})
	require.Error(t, err)
	require.Contains(t, out, "is no name of an environment or filter")
}

// write writes lines to a file of the hub.
func (h *hub) write(name string, lines []string) string {
	path := filepath.Join(h.dir, name)
	require.NoError(h.t, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	return path
}
