package verify

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	corev1 "k8s.io/api/core/v1"

	extensions "istio.io/api/extensions/v1alpha1"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/proxystatus"
	"github.com/wasmfleet/wasmfleet/internal/registry"
	"github.com/wasmfleet/wasmfleet/internal/selection"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// expected is what the cluster's proxies are to run.
type expected struct {
	env        manifests.Environment
	objects    []object
	namespaces []string // of the objects, sorted
	byHand     []string // EnvoyFilters with Wasm filters, which nothing here says the contents of
}

// object is one of them.
type object struct {
	proxystatus.Want
	selection selection.Plugin
}

// expect renders the environment, and asks the registry for the pinned modules: a module says which build it is.
func expect(ctx context.Context, o options, env manifests.Environment) (expected, error) {
	e := expected{env: env}
	filters, err := catalog.Load(o.filters)
	if err != nil {
		return e, err
	}
	r, err := manifests.Build(env, filters, func(string) {})
	if err != nil {
		return e, cli.Finding("rendering %s: %w", env.Name, err)
	}
	if r.Undecoded != nil {
		return e, cli.Finding("rendering %s: %w", env.Name, r.Undecoded)
	}
	builds := &builds{o: o, known: map[string]build{}}
	add := func(p *plugin.Plugin, name string, selected selection.Plugin) error {
		configuration, err := plugin.Configuration(p.Spec.PluginConfig)
		if err != nil {
			return cli.Finding("%s: %w", p, err)
		}
		ref, err := image.ParseRef(strings.TrimPrefix(p.Spec.Url, "oci://"))
		if err != nil {
			return cli.Finding("%s: url %q: %w", p, p.Spec.Url, err)
		}
		made := builds.of(ctx, ref)
		e.objects = append(e.objects, object{proxystatus.Want{
			Object: p.Namespace + "/" + name, Digest: ref.Digest, Configuration: plugin.Fingerprint(configuration),
			Build: made.number, Silent: made.silent, Missing: made.missing, Open: p.Spec.FailStrategy == extensions.FailStrategy_FAIL_OPEN,
		}, selected})
		return nil
	}
	for _, o := range r.Objects {
		if _, _, canary := plugin.CanaryOf(o.GetAnnotations()); o.GetKind() == plugin.EnvoyFilter.Kind && !canary && bytes.Contains(o.YAML, []byte("wasm.v3")) {
			e.byHand = append(e.byHand, o.GetNamespace()+"/"+o.GetName())
		}
	}
	everybody := map[string]bool{} // objects in whose place everybody gets the canary
	for _, c := range r.Canaries() {
		if c.Err != nil {
			return e, cli.Finding("%w", c.Err)
		}
		everybody[c.Plugin.ID()] = c.Percent == 100
		if c.Percent == 0 {
			continue // no proxy asks for it
		}
		if err := add(c.Plugin, c.Plugin.Name+".canary", selection.Of(c.Stable.Namespace, &c.Stable.Spec)); err != nil {
			return e, err
		}
	}
	for _, p := range r.Plugins {
		if everybody[p.ID()] {
			continue
		}
		if err := add(p.Plugin, p.Name, selection.Of(p.Namespace, &p.Spec)); err != nil {
			return e, err
		}
	}
	if len(e.objects) == 0 {
		return e, cli.Finding("%s deploys no filter: there is nothing to verify", env.Name)
	}
	for _, o := range e.objects {
		ns, _, _ := strings.Cut(o.Object, "/")
		if !slices.Contains(e.namespaces, ns) {
			e.namespaces = append(e.namespaces, ns)
		}
	}
	slices.Sort(e.namespaces)
	return e, nil
}

// rootNamespace is the mesh's.
func (e expected) rootNamespace() string { return cmp.Or(e.env.RootNamespace, "istio-system") }

// listed are the namespaces whose pods count; none means all of them: a plugin of the root namespace is for every one.
func (e expected) listed() []string {
	if slices.Contains(e.namespaces, e.rootNamespace()) {
		return nil
	}
	return e.namespaces
}

// known refuses a cluster that has none of the proxies: it is another one.
func (e expected) known(pods []corev1.Pod) error {
	if len(pods) == 0 {
		return cli.Finding("no pod with a proxy in %s. is this the cluster of %s? (--context)", strings.Join(e.namespaces, ", "), e.env.Name)
	}
	return nil
}

// managed is Istio's label of what it makes of a Gateway; waypointController is its value on a waypoint.
const (
	managed            = "gateway.istio.io/managed"
	waypointController = "istio.io-mesh-controller"
)

// of are the objects that the proxy of a pod is to run. Which services a waypoint serves is not seen: of an object that is attached to
// one, unclear says so.
func (e expected) of(pod corev1.Pod) (wants []proxystatus.Want, unclear []proxystatus.Verdict) {
	p := selection.Proxy{Namespace: pod.Namespace, Labels: pod.Labels, Waypoint: pod.Labels[managed] == waypointController}
	p.Router = p.Labels[selection.GatewayName] != "" || isRouter(pod)
	for _, o := range e.objects {
		switch {
		case o.selection.MayRun(p, e.rootNamespace()):
			wants = append(wants, o.Want)
		case p.Waypoint && o.selection.Namespace == p.Namespace && slices.ContainsFunc(o.selection.Refs, ofService):
			unclear = append(unclear, proxystatus.Verdict{Object: o.Object, State: proxystatus.Unknown,
				Reason: "a waypoint runs it for a service, and which services this one serves is not asked. its metrics say: wasmfleet_config"})
		}
	}
	return wants, unclear
}

// isRouter reports whether the proxy of the pod was started as a gateway: a gateway that was made by hand says it nowhere else.
func isRouter(pod corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool {
		return c.Name == container && slices.Contains(c.Args, "router")
	})
}

func ofService(ref *targetRef) bool {
	t := selection.TargetOf(ref)
	return t == selection.Targets[0] || t == selection.Targets[1]
}

// report sums up, with the objects that no proxy is to run.
func (e expected) report(proxies []proxy) report {
	r := report{Proxies: proxies, Unused: []string{}}
	for _, o := range e.objects {
		used := slices.ContainsFunc(proxies, func(p proxy) bool {
			return slices.ContainsFunc(p.Verdicts, func(v proxystatus.Verdict) bool { return v.Object == o.Object })
		})
		if !used {
			r.Unused = append(r.Unused, o.Object)
		}
	}
	return r
}

// builds are the modules of pinned images, as they say it themselves.
type builds struct {
	o     options
	known map[string]build // by digest
}

type build struct {
	number  uint64
	silent  string // why it is not known
	missing bool   // the registry does not have the image
}

func (b *builds) of(ctx context.Context, ref image.Ref) build {
	made, ok := b.known[ref.Digest]
	if !ok {
		number, sealed, err := b.ask(ctx, ref)
		switch {
		case err != nil:
			made.silent = "which build is pinned is not known: " + oneLine(err)
			var refused *transport.Error
			made.missing = errors.As(err, &refused) && refused.StatusCode == http.StatusNotFound
		case !sealed:
			made.silent = "its module does not say what it runs: it was built elsewhere, or before this was built in"
		}
		made.number = number
		b.known[ref.Digest] = made
	}
	return made
}

func (b *builds) ask(ctx context.Context, ref image.Ref) (uint64, bool, error) {
	base, err := registry.NewTransport(b.o.caFile)
	if err != nil {
		return 0, false, err
	}
	module, err := image.Pull(ctx, ref, b.o.plainHTTP, remote.WithTransport(base), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("wasmfleet-verify"))
	if err != nil {
		host, _, _ := strings.Cut(ref.Repo, "/")
		return 0, false, registry.Explain(host, err)
	}
	number, sealed := wasmfile.Build(module)
	return number, sealed, nil
}
