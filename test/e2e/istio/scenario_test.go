package istio

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/preflight"
	"github.com/wasmfleet/wasmfleet/internal/proxystatus"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/cluster"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/process"
)

// What a client sees of each change to a deployed filter, good and bad, and what is known of the proxy. The good ones cost no
// request.
func TestFullChain(t *testing.T) {
	f := startFull(t)
	f.becomes(proxystatus.Running)
	f.verified()
	f.unverified()
	for _, scenario := range []struct {
		name string
		run  func(*full)
	}{
		{"validation", (*full).validation},
		{"changed value", (*full).changedValue},
		{"promoted digest", (*full).promotedDigest},
		{"removed filter", (*full).removedFilter},
		{"other APIs", (*full).otherAPIs},
		{"missing image", (*full).missingImage},
		{"image before manifest", (*full).order},
		{"pull secret", (*full).pullSecret},
		{"registry down", (*full).registryDown},
		{"time bomb", (*full).timeBomb},
	} {
		if !t.Run(scenario.name, func(t *testing.T) {
			inner := *f
			inner.T, inner.tree.t = t, t
			scenario.run(&inner)
			f.applied = inner.applied
		}) {
			break // the next one starts where this one should have ended
		}
	}
}

var (
	changedHeader = answer{200, "changed"}
	noHeader      = answer{200, ""}
	denied        = answer{403, ""}
)

func (f *full) changedValue() {
	f.good(answer{200, "world"}, changedHeader, func() {
		f.tree.edit("overlays/dev/addheader-config.yaml", "value: world", "value: changed")
		f.sync()
	}, func() { f.sees(changedHeader) })
	f.becomes(proxystatus.Running)
}

// promote pins another image of addheader, with the same code, in dev.
func (f *full) promote(version string) image.Ref {
	f.Helper()
	module := otherBytes(f.T, modules(f.T)["addheader"], version)
	ref := pushModule(f.T, f.registry.host, "addheader", version, module)
	f.builds[ref.Digest] = build(f.T, module)
	f.tree.pin("dev", manifests.Pins{"addheader": ref})
	return ref
}

func (f *full) promotedDigest() {
	f.good(changedHeader, changedHeader, func() {
		ref := f.promote("v2")
		require.NotEqual(f, f.pins["addheader"].Digest, ref.Digest)
		f.pins["addheader"] = ref
		f.sync()
	}, func() { f.becomes(proxystatus.Running) })
}

func (f *full) removedFilter() {
	f.good(changedHeader, noHeader, func() { f.api.Delete(f, f.addheader(nil)) }, func() { f.sees(noHeader) })
	// The old listener keeps the filter until it has drained: 45 s, Istio's default.
	f.becomesWithin(drained, proxystatus.Waiting)
	f.good(noHeader, changedHeader, f.sync, func() { f.sees(changedHeader) })
	f.becomes(proxystatus.Running)
}

// The same filters as objects of the two other APIs; each goes when the next comes.
func (f *full) otherAPIs() {
	for _, api := range []string{plugin.TrafficExtension.Kind, plugin.EnvoyFilter.Kind, plugin.WasmPlugin.Kind} {
		f.deleteFilters()
		f.tree.set("dev", api)
		f.sync()
		f.sees(changedHeader)
		f.becomes(proxystatus.Running)
	}
}

// A missing image takes the filter that works away at once. Nobody tries again.
func (f *full) missingImage() {
	missing := f.pins["addheader"]
	missing.Digest = "sha256:" + strings.Repeat("0", 64)
	for _, c := range []struct {
		strategy string
		sees     answer
		status   proxystatus.State
	}{
		{"FAIL_OPEN", noHeader, proxystatus.Passing},
		{"FAIL_CLOSE", denied, proxystatus.Denying},
		{"FAIL_RELOAD", denied, proxystatus.Denying},
	} {
		f.Log(c.strategy)
		f.underLoad(func() {
			f.apply(f.addheader(func(spec map[string]any) { spec["failStrategy"], spec["url"] = c.strategy, "oci://"+missing.String() }))
		}, func() { f.sees(c.sees) })
		require.Contains(f, f.becomes(c.status).Reason, "manifest_failure")
		f.Log(c.strategy, "and a new proxy")
		f.sidecar.Restart(f)
		f.sees(c.sees)
		f.becomes(c.status)
		f.sync()
		f.sees(changedHeader)
		f.becomes(proxystatus.Running)
	}
}

// The promise: an image is in the registry before a manifest names it. First the control, the other way round.
func (f *full) order() {
	module := otherBytes(f.T, modules(f.T)["addheader"], "v3")
	ref, image := buildModule(f.T, f.registry.host, "addheader", "v3", module)
	f.tree.pin("dev", manifests.Pins{"addheader": ref})
	answers := f.underLoad(f.sync, func() { f.sees(denied) })
	require.Positive(f, answers[denied.String()], "manifest first: requests are refused")
	tag, err := name.NewTag(ref.Repo + ":" + ref.Tag)
	require.NoError(f, err)
	require.NoError(f, remote.Write(tag, image))
	f.stays(denied) // the image is there now, and nobody looks
	f.tree.pin("dev", manifests.Pins{"addheader": f.pins["addheader"]})
	f.sync()
	f.sees(changedHeader)

	f.good(changedHeader, changedHeader, func() {
		f.pins["addheader"] = f.promote("v4") // pushes first
		f.sync()
	}, func() { f.becomes(proxystatus.Running) })
}

// A registry that wants credentials: the secret must be there before the manifest, like the image.
func (f *full) pullSecret() {
	private := newGate(f.T, "s3cret")
	module := otherBytes(f.T, modules(f.T)["addheader"], "v5")
	ref := pushModule(f.T, private.host, "addheader", "v5", module,
		remote.WithAuth(&authn.Basic{Username: puller, Password: private.password}))
	f.builds[ref.Digest] = build(f.T, module)
	plugin := f.addheader(func(spec map[string]any) { spec["url"], spec["imagePullSecret"] = "oci://"+ref.String(), "registry" })
	f.Log("without the secret")
	f.underLoad(func() { f.apply(plugin) }, func() { f.sees(denied) })
	f.becomes(proxystatus.Denying)
	f.sync()
	f.sees(changedHeader)

	secrets := f.api.CoreV1().Secrets(ns)
	login := base64.StdEncoding.EncodeToString([]byte(puller + ":" + private.password))
	_, err := secrets.Create(f.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "registry"},
		Type:       corev1.SecretTypeDockerConfigJson,
		Data:       map[string][]byte{corev1.DockerConfigJsonKey: fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, private.host, login)},
	}, metav1.CreateOptions{})
	require.NoError(f, err)
	f.Log("with it")
	f.good(changedHeader, changedHeader, func() { f.apply(plugin) }, func() { f.becomes(proxystatus.Running) })
	f.api.Delete(f, plugin)
	f.sync()
	f.sees(changedHeader)
}

// While the registry is down, what runs goes on and takes other values; another image, or a new proxy, does not come up. When it is
// back, it takes another change to try again.
func (f *full) registryDown() {
	f.becomes(proxystatus.Running)
	next := f.promote("v6")
	f.registry.closed.Store(true)
	f.Log("another value")
	other := answer{200, "other"}
	value := func(ref image.Ref, value string) string {
		return f.addheader(func(spec map[string]any) {
			spec["url"], spec["pluginConfig"] = "oci://"+ref.String(), map[string]any{"name": "hello", "value": value}
		})
	}
	f.good(changedHeader, other, func() { f.apply(value(f.pins["addheader"], "other")) }, func() { f.sees(other) })
	f.Log("another image")
	f.underLoad(func() { f.apply(value(next, "other")) }, func() { f.sees(denied) })
	f.becomes(proxystatus.Denying)
	f.registry.closed.Store(false)
	f.Log("the registry is back")
	f.stays(denied)
	f.apply(value(next, "back"))
	f.sees(answer{200, "back"})
	f.becomes(proxystatus.Running)
	f.pins["addheader"] = next

	f.Log("a new proxy while it is down")
	f.registry.closed.Store(true)
	f.sidecar.Restart(f)
	f.sees(denied)
	f.becomes(proxystatus.Denying)
	f.registry.closed.Store(false)
	f.stays(denied)
	f.sync()
	f.sees(changedHeader)
	f.becomes(proxystatus.Running)
}

// A filter that refuses its configuration changes nothing on a proxy that runs, and fails every request of the next one. The next
// push of anything hides it from istiod. The preflight would have said so.
func (f *full) timeBomb() {
	environment := "dev"
	for _, strategy := range []string{"FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"} {
		f.Log(strategy)
		refused := f.addheader(func(spec map[string]any) {
			spec["failStrategy"], spec["pluginConfig"] = strategy, map[string]any{"name": "not a name", "value": "x"}
		})
		answers := f.underLoad(func() { f.apply(refused) }, func() { f.becomes(proxystatus.Refused) })
		require.Len(f, answers, 1)
		require.Positive(f, answers[changedHeader.String()])

		f.tree.edit("overlays/dev/jwtfetch-config.yaml", "x-environment: "+environment, "x-environment: "+strategy)
		environment = strategy
		f.api.Apply(f, f.object("jwtfetch", nil))
		f.fetchedFor(environment)
		f.stays(changedHeader)
		f.becomes(proxystatus.Refused)

		f.sidecar.Restart(f)
		f.sees(answer{500, ""})
		f.becomes(proxystatus.Refused)

		f.preflightRefuses(refused)
		f.sync()
		f.sees(changedHeader)
		f.becomes(proxystatus.Running)
	}
}

// fetchedFor waits until jwtfetch works with a configuration: it asks for another token, and has none for a moment, in which it
// denies requests. That is no matter of the filter that is looked at.
func (f *full) fetchedFor(environment string) {
	f.Helper()
	process.Until(f, changed, "a token for "+environment, func(context.Context) error {
		if _, asked := f.environments.Load(environment); !asked {
			return errors.New("the token service was not asked")
		}
		return nil
	})
	f.sees(changedHeader)
}

func (f *full) preflightRefuses(object string) {
	f.Helper()
	program, err := envoy.FindEnvoy()
	require.NoError(f, err)
	for text, refused := range map[string]bool{object: true, f.addheader(nil): false} {
		plugins, err := plugin.Plugins(map[string][]byte{"addheader.yaml": []byte(text)})
		require.NoError(f, err)
		err = preflight.Check(f.Context(), program, plugins[0], modules(f.T)["addheader"])
		if !refused {
			require.NoError(f, err)
			continue
		}
		var reason *envoy.Refused
		require.ErrorAs(f, err, &reason)
		f.Logf("preflight: %v", err)
	}
}

// addheader is the rendered object with another spec.
func (f *full) addheader(edit func(spec map[string]any)) string {
	f.Helper()
	return f.object("addheader", edit)
}

func (f *full) object(filter string, edit func(spec map[string]any)) string {
	f.Helper()
	text := read(f.T, f.tree.render("dev"))
	objects, err := cluster.Objects([]byte(text))
	require.NoError(f, err)
	for _, o := range objects {
		if o.GetName() != filter {
			continue
		}
		if edit != nil {
			edit(o.Object["spec"].(map[string]any))
		}
		text, err := yaml.Marshal(o.Object)
		require.NoError(f, err)
		return string(text)
	}
	require.FailNow(f, "not rendered", filter)
	return ""
}

// deleteFilters deletes every rendered filter, of whatever kind.
func (f *full) deleteFilters() {
	f.Helper()
	for filter := range modules(f.T) {
		f.api.Delete(f, f.object(filter, nil))
	}
}
