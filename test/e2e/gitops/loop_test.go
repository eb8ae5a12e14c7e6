// Package gitops is the whole loop on this machine: a commit in git, Argo CD, the Kubernetes API, Istio, Envoy, a request.
package gitops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wasmfleet/wasmfleet/test/e2e/internal/cluster"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/process"
)

var (
	applications = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
	wasmPlugins  = schema.GroupVersionResource{Group: "extensions.istio.io", Version: "v1alpha1", Resource: "wasmplugins"}
)

// within is for a commit to reach a client. It takes about a second.
const within = time.Minute

// loop is everything that runs.
type loop struct {
	*testing.T
	*fork
	api  *cluster.API
	urls map[string]string // of each environment's workload, by way of its sidecar
}

// TestLoop walks through the life of a filter. A client asks 100 times a second all the while, and no request fails.
func TestLoop(t *testing.T) {
	l := start(t)
	traffic := startTraffic(t, l.urls["dev"])
	for _, step := range []struct {
		title string
		run   func()
	}{
		{"The first sync: no header before, a header after", l.firstSync},
		{"A commit changes a value", l.value},
		{"A change of code: publish, pin, push, as publish.yaml does", l.code},
		{"Promote from dev to staging", l.promote},
		{"Revert: the rollback of one environment", l.rollback},
		{"A hand edit in the cluster is healed", l.handEdit},
		{"A filter is removed from git", l.removed},
		{"A bad manifest in git is refused, and what runs goes on", l.badManifest},
		{"A kind that the project does not allow", l.otherKind},
		{"An image without a digest is refused by admission", l.unpinned},
		{"A canary: half of the requests, all, none", l.canary},
		{"The last filter of an environment goes: the Application stays and prunes", l.last},
		{"dev moves from a flat folder to one for each namespace", l.folders},
		{"A new environment is a new folder", l.newEnvironment},
	} {
		started := time.Now()
		l.say("%s", step.title)
		step.run()
		l.say("  done after %s", time.Since(started).Round(10*time.Millisecond))
	}
	requests, failures := traffic.soFar()
	l.say("%d requests meanwhile, failures: %v", requests, failures)
	require.Empty(t, failures)
	require.Greater(t, requests, 500)
}

// say tells the story, on a terminal as it happens (make demo-gitops).
func (l *loop) say(format string, args ...any) {
	l.Helper()
	l.Logf(format, args...)
	if os.Getenv("NARRATE") != "" {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
}

func start(t *testing.T) *loop {
	t.Helper()
	l := &loop{T: t, fork: newFork(t), urls: map[string]string{}}
	started := time.Now()
	l.say("Starting a registry, git, etcd, kube-apiserver, Argo CD, istiod, and in dev and staging a workload behind Istio's agent and Envoy")
	l.api = cluster.StartAPI(t, cluster.APIOptions{Users: []string{controllerAccount, appSetAccount}})
	cluster.StartControllerManager(t, l.api)
	istiod := cluster.StartIstiod(t, l.api, cluster.IstiodOptions{})
	for i, env := range []string{"dev", "staging"} {
		ns, address, port := "web-"+env, fmt.Sprintf("127.0.0.%d", 11+i), process.Port(t)
		l.api.Pod(t, ns, "web", address, map[string]string{"app": "web"})
		l.api.Apply(t, fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web, namespace: %s}
spec:
  workloadSelector: {labels: {app: web}}
  ingress:
  - {port: {number: %d, protocol: HTTP, name: http}, bind: %s, captureMode: NONE, defaultEndpoint: "%s"}
  egress:
  - hosts: ["~/*"]
`, ns, port, address, echo(t)))
		p := cluster.StartProxy(t, istiod, cluster.ProxyOptions{Kind: cluster.Sidecar, Namespace: ns, Name: "web", Address: address, Labels: map[string]string{"app": "web"}})
		l.urls[env] = p.URL(port)
		l.sees(env, "")
	}
	startArgo(t, l.api)
	l.say("  ready after %s", time.Since(started).Round(10*time.Millisecond))
	return l
}

// firstSync publishes what the pins name, so that the images are there first, and gives Argo CD the fork's manifests/argocd.
func (l *loop) firstSync() {
	l.run("make -s publish VERSION=v0.1.0")
	files, err := filepath.Glob(filepath.Join(l.dir, "manifests/argocd/*.yaml"))
	require.NoError(l, err)
	require.NotEmpty(l, files)
	for _, file := range files {
		l.api.ApplyFile(l, file)
	}
	l.sees("dev", "world")
	l.sees("staging", "world from staging")
	l.synced("dev", l.run("git rev-parse HEAD"))
}

func (l *loop) value() {
	l.run(`sed -i 's/value: .*/value: second/' manifests/overlays/dev/addheader-config.yaml && make -s render`)
	l.commit("addheader: another value", "dev")
	l.sees("dev", "second")
}

func (l *loop) code() {
	before := l.pinned("dev")
	l.run(`sed -i 's/ReplaceHttpResponseHeader(ctx.config.name, ctx.config.value)/ReplaceHttpResponseHeader(ctx.config.name, ctx.config.value+"!")/' filters/addheader/plugin.go
git commit -qam "addheader: louder" && git push -q origin HEAD:main`)
	l.say("%s", indent(l.run("scripts/ci-publish changed 2>&1 && scripts/ci-publish push 2>&1 && scripts/ci-publish pin main 2>&1")))
	l.run("git checkout -q -B main origin/main")
	l.refresh("dev")
	l.sees("dev", "second!")
	require.NotEqual(l, before, l.pinned("dev"))
	require.Contains(l, l.run("scripts/ci-publish changed 2>&1"), "dev already pins what this commit builds", "a second run changes nothing")
}

func (l *loop) promote() {
	l.say("%s", indent(l.run("make -s promote TO=staging FILTER=addheader")))
	l.commit("staging: addheader", "staging")
	l.sees("staging", "world from staging!")
}

func (l *loop) rollback() {
	l.run("git revert --no-edit HEAD >/dev/null && git push -q origin HEAD:main")
	l.refresh("staging")
	l.sees("staging", "world from staging")
	l.sees("dev", "second!")
}

func (l *loop) handEdit() {
	plugins := l.api.Dynamic.Resource(wasmPlugins).Namespace("web-dev")
	edit := []byte(`{"spec":{"pluginConfig":{"name":"hello","value":"by hand"}}}`)
	_, err := plugins.Patch(l.Context(), "addheader", types.MergePatchType, edit, metav1.PatchOptions{})
	require.NoError(l, err)
	process.Until(l, within, "healed", func(ctx context.Context) error {
		o, err := plugins.Get(ctx, "addheader", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if value, _, _ := unstructured.NestedString(o.Object, "spec", "pluginConfig", "value"); value != "second" {
			return errors.New(value)
		}
		return nil
	})
	l.sees("dev", "second!")
}

func (l *loop) removed() {
	l.run(`sed -i '/base\/addheader/d; /addheader-config/d' manifests/overlays/dev/kustomization.yaml && make -s render`)
	l.commit("addheader leaves dev", "dev")
	l.sees("dev", "")
	process.Until(l, within, "pruned", func(ctx context.Context) error {
		_, err := l.api.Dynamic.Resource(wasmPlugins).Namespace("web-dev").Get(ctx, "addheader", metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("still there: %w", err)
		}
		return nil
	})
	l.run("git revert --no-edit HEAD >/dev/null && git push -q origin HEAD:main")
	l.refresh("dev")
	l.sees("dev", "second!")
}

// canary gives another configuration to a share of the requests, in each proxy, while the client asks.
func (l *loop) canary() {
	l.run(`canary=$(mktemp)
printf 'name: hello\nvalue: canary\n' >"$canary"
bin/wasmfleet canary start addheader --in dev --percent 50 --key request --config "$canary" --image "$(bin/wasmfleet status dev --format json | grep -o '[^"]*/addheader:[^"]*@sha256:[0-9a-f]*')"
rm "$canary"`)
	l.commit("dev: a canary of addheader", "dev")
	l.sees("dev", "canary!")
	l.sees("dev", "second!")
	l.run("bin/wasmfleet canary set addheader --in dev --percent 100")
	l.commit("dev: the canary for all", "dev")
	l.sees("dev", "canary!")
	l.synced("dev", l.run("git rev-parse HEAD"))
	l.run("bin/wasmfleet canary abort addheader --in dev")
	l.commit("dev: no canary", "dev")
	l.sees("dev", "second!")
	l.synced("dev", l.run("git rev-parse HEAD"))
}

// last leaves an environment without a filter: git keeps its folder, and the Application prunes what was there.
func (l *loop) last() {
	l.run("for f in $(grep -rhoE 'base/[a-z0-9-]+' --include=kustomization.yaml manifests/overlays/dev | cut -d/ -f2 | sort -u); do bin/wasmfleet retire --from dev $f; done >/dev/null")
	l.commit("dev has no filter", "dev")
	l.sees("dev", "")
	l.synced("dev", l.run("git rev-parse HEAD"))
	process.Until(l, within, "pruned", func(ctx context.Context) error {
		left, err := l.api.Dynamic.Resource(wasmPlugins).Namespace("web-dev").List(ctx, metav1.ListOptions{})
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("still there: %s", left.Items[0].GetName())
		}
		return err
	})
	l.run("git revert --no-edit HEAD >/dev/null && git push -q origin HEAD:main")
	l.refresh("dev")
	l.sees("dev", "second!")
}

// folders moves files only: the objects are the same, and stay.
func (l *loop) folders() {
	before, err := l.api.Dynamic.Resource(wasmPlugins).Namespace("web-dev").Get(l.Context(), "addheader", metav1.GetOptions{})
	require.NoError(l, err)
	l.run(`cd manifests/overlays/dev && mkdir web-dev && git mv kustomization.yaml *-config.yaml web-dev/
sed -i 's#\.\./\.\./base#../../../base#; s#- digests#- ../digests#' web-dev/kustomization.yaml
printf 'resources:\n- web-dev\n' >kustomization.yaml
cd ../../.. && make -s render && ls manifests/rendered/dev/web-dev`)
	l.commit("dev has a folder for each namespace", "dev")
	l.synced("dev", l.run("git rev-parse HEAD"))
	after, err := l.api.Dynamic.Resource(wasmPlugins).Namespace("web-dev").Get(l.Context(), "addheader", metav1.GetOptions{})
	require.NoError(l, err)
	require.Equal(l, before.GetUID(), after.GetUID())
	l.sees("dev", "second!")
	l.run("git revert --no-edit HEAD >/dev/null && git push -q origin HEAD:main")
	l.refresh("dev")
	l.synced("dev", l.run("git rev-parse HEAD"))
}

// badManifest gets past render by hand, as a merge without checks would.
func (l *loop) badManifest() {
	l.run(`sed -i 's/phase: STATS/phase: LATE/; s/value: second/value: third/' manifests/rendered/dev/*_wasmplugin_addheader.yaml`)
	l.commit("A phase that does not exist", "dev")
	l.refuses("dev", `Unsupported value: "LATE"`)
	l.sees("dev", "second!")
	l.run("git revert --no-edit HEAD >/dev/null && git push -q origin HEAD:main")
	l.refresh("dev")
	l.synced("dev", l.run("git rev-parse HEAD"))
}

// otherKind is stopped twice: by the small role of the controller, and where that is wider, by the project.
func (l *loop) otherKind() {
	l.run(`printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: sneaky, namespace: web-dev}\n' >manifests/rendered/dev/v1_configmap_sneaky.yaml`)
	l.commit("A ConfigMap", "dev")
	l.refuses("dev", `cannot get resource "configmaps"`)
	l.api.Apply(l, `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: configmaps, namespace: web-dev}
rules: [{apiGroups: [""], resources: [configmaps], verbs: ["*"]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: configmaps, namespace: web-dev}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: configmaps}
subjects: [{kind: ServiceAccount, name: argocd-application-controller, namespace: argocd}]
`)
	l.refresh("dev")
	l.refuses("dev", "resource :ConfigMap is not permitted in project wasmfleet")
	_, err := l.api.CoreV1().ConfigMaps("web-dev").Get(l.Context(), "sneaky", metav1.GetOptions{})
	require.True(l, apierrors.IsNotFound(err))
	l.run("git revert --no-edit HEAD >/dev/null && git push -q origin HEAD:main")
	l.refresh("dev")
	l.synced("dev", l.run("git rev-parse HEAD"))
}

// unpinned is refused by the API server, also from a hand that may do everything.
func (l *loop) unpinned() {
	text, err := os.ReadFile(l.rendered("dev", "addheader"))
	require.NoError(l, err)
	digest := l.pinned("dev")
	for from, to := range map[string]string{"@" + digest: "", l.registry: "registry.example/filters"} {
		bad := strings.Replace(string(text), from, to, 1)
		require.NotEqual(l, string(text), bad)
		require.ErrorContains(l, l.api.TryApply(l.Context(), bad), "ValidatingAdmissionPolicy 'wasmfleet-pinned'")
	}
	l.run(`sed -i 's/@` + digest + `//' "` + l.rendered("dev", "addheader") + `"`)
	l.commit("A tag instead of a digest", "dev")
	l.refuses("dev", "wasmfleet-pinned")
	l.sees("dev", "second!")
	l.run("git revert --no-edit HEAD >/dev/null && git push -q origin HEAD:main")
	l.refresh("dev")
	l.synced("dev", l.run("git rev-parse HEAD"))
}

func (l *loop) newEnvironment() {
	l.run(`cp -R manifests/overlays/dev manifests/overlays/qa
sed -i 's/web-dev/web-qa/' manifests/overlays/qa/kustomization.yaml
make -s render`)
	revision := l.push("qa")
	l.api.Namespaces(l, "web-qa")
	set := []byte(`{"metadata":{"annotations":{"argocd.argoproj.io/application-set-refresh":"true"}}}`)
	sets := l.api.Dynamic.Resource(applications.GroupVersion().WithResource("applicationsets")).Namespace(argocd)
	_, err := sets.Patch(l.Context(), "wasmfleet", types.MergePatchType, set, metav1.PatchOptions{})
	require.NoError(l, err)
	l.synced("qa", revision)
}

// commit pushes what has changed and tells Argo CD to look, as a webhook would.
func (l *loop) commit(message, env string) {
	l.Helper()
	l.push(message)
	l.refresh(env)
}

func (l *loop) refresh(env string) {
	l.Helper()
	patch := []byte(`{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"normal"}}}`)
	_, err := l.api.Dynamic.Resource(applications).Namespace(argocd).Patch(l.Context(), "wasmfleet-"+env, types.MergePatchType, patch, metav1.PatchOptions{})
	require.NoError(l, err)
}

// sees waits until a client of the environment gets that header.
func (l *loop) sees(env, want string) {
	l.Helper()
	process.Until(l, within, fmt.Sprintf("%s: header %q", env, want), func(ctx context.Context) error {
		got, err := header(ctx, l.urls[env])
		if err == nil && got != want {
			err = fmt.Errorf("%q\n%s", got, l.status(ctx, env))
		}
		return err
	})
}

// synced waits until Argo CD says that the cluster has the revision.
func (l *loop) synced(env, revision string) {
	l.Helper()
	process.Until(l, within, env+" synced", func(ctx context.Context) error {
		app, err := l.application(ctx, env)
		if err != nil {
			return err
		}
		status, _, _ := unstructured.NestedString(app.Object, "status", "sync", "status")
		at, _, _ := unstructured.NestedString(app.Object, "status", "sync", "revision")
		if status != "Synced" || at != revision {
			return errors.New(l.status(ctx, env))
		}
		return nil
	})
}

// refuses waits until the Application's status says why a revision is not in the cluster.
func (l *loop) refuses(env, why string) {
	l.Helper()
	process.Until(l, within, why, func(context.Context) error {
		status := l.status(l.Context(), env) // not of ctx: the last status is what explains a failure
		if !strings.Contains(strings.ReplaceAll(status, `\"`, `"`), why) {
			return errors.New(status)
		}
		return nil
	})
}

func (l *loop) application(ctx context.Context, env string) (*unstructured.Unstructured, error) {
	return l.api.Dynamic.Resource(applications).Namespace(argocd).Get(ctx, "wasmfleet-"+env, metav1.GetOptions{})
}

// status is what the Application says of itself.
func (l *loop) status(ctx context.Context, env string) string {
	app, err := l.application(ctx, env)
	if err != nil {
		return err.Error()
	}
	status, _, _ := unstructured.NestedMap(app.Object, "status")
	delete(status, "history")
	text, err := json.Marshal(status)
	if err != nil {
		return fmt.Sprint(status)
	}
	return string(text)
}

// rendered is the file of a filter's object.
func (l *loop) rendered(env, filter string) string {
	return filepath.Join(l.dir, "manifests/rendered", env, "extensions.istio.io_v1alpha1_wasmplugin_"+filter+".yaml")
}

// pinned is the digest of addheader in an environment.
func (l *loop) pinned(env string) string {
	l.Helper()
	text, err := os.ReadFile(l.rendered(env, "addheader"))
	require.NoError(l, err)
	_, digest, ok := strings.Cut(string(text), "@")
	require.True(l, ok)
	digest, _, _ = strings.Cut(digest, "\n")
	return digest
}

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }
