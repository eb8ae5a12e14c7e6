package manifests

import (
	"fmt"
	"path"
	"slices"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/kustomize/api/provider"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/kustomize"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// Result is what an environment is rendered to, before it is written.
type Result struct {
	Env      Environment
	Pins     []FilePins
	Source   *kustomize.Source // the lines that it comes from
	Objects  []Object          // as kustomize makes them
	Plugins  []Plugin          // in the order of the filter chain
	Rendered []Object          // as the cluster gets them: in the API of the environment

	Undecoded error // why there are no plugins

	folders bool // each namespace has a folder of its own in what is rendered
}

// Object is one object and the file that it goes to.
type Object struct {
	*resource.Resource
	File string
	YAML []byte
}

// Spec is the object's, as JSON, with every number as it is written.
func (o Object) Spec() ([]byte, error) {
	data, err := o.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var object struct {
		Spec map[string]any `json:"spec"`
	}
	if err := utiljson.Unmarshal(data, &object); err != nil {
		return nil, err
	}
	return utiljson.Marshal(object.Spec)
}

// Plugin is an object that deploys a filter, and the filter.
type Plugin struct {
	*plugin.Plugin
	Object Object
	Filter *catalog.Filter // as the pinned module is; nil for an image of which nothing is known
}

// Build renders the environment in memory. Step is told what comes next.
func Build(env Environment, filters []catalog.Filter, step func(what string)) (*Result, error) {
	resources, source, err := kustomize.Build(env.files, env.Manifests, env.Dir, step)
	if err != nil {
		return nil, err
	}
	r := &Result{Env: env, Source: source}
	if r.Pins, err = env.AllPins(); err != nil {
		return nil, err
	}
	folders, err := env.Namespaces()
	if err != nil {
		return nil, err
	}
	r.folders = len(folders) > 0 || severalNamespaces(resources)
	if r.Objects, err = r.objectsOf(resources); err != nil {
		return nil, err
	}
	if r.Rendered = r.Objects; len(resources) == 0 {
		r.Rendered, err = r.placeholder()
		return r, err
	}
	facts, err := env.Facts()
	if err != nil {
		return nil, err
	}
	if r.Plugins, r.Undecoded = pluginsOf(r.Objects, filters, facts); r.Undecoded != nil {
		return r, nil
	}
	r.Rendered, err = r.inAPI(plugin.APIOf(env.API))
	return r, err
}

// Pinned are the pins of a filter, in the environment and in folders of it that have their own.
func (r *Result) Pinned(filter string) (refs []image.Ref) {
	for _, f := range r.Pins {
		if ref, ok := f.Pins[filter]; ok {
			refs = append(refs, ref)
		}
	}
	return refs
}

// Renders reports whether an object deploys the filter.
func (r *Result) Renders(filter string) bool {
	return slices.ContainsFunc(r.Plugins, func(p Plugin) bool { return FilterOf(p.Spec.Url) == filter })
}

// Files are the rendered objects by the file that they go to.
func (r *Result) Files() map[string][]byte { return filesOf(r.Rendered) }

func filesOf(objects []Object) map[string][]byte {
	files := map[string][]byte{}
	for _, o := range objects {
		files[o.File] = o.YAML
	}
	return files
}

// SeveralNamespaces reports whether the objects are in more than one namespace, so that a name alone does not tell which is meant.
func (r *Result) SeveralNamespaces() bool {
	var resources []*resource.Resource
	for _, o := range r.Objects {
		resources = append(resources, o.Resource)
	}
	return severalNamespaces(resources)
}

func severalNamespaces(resources []*resource.Resource) bool {
	namespaces := map[string]bool{}
	for _, r := range resources {
		if ns := r.CurId().EffectiveNamespace(); ns != resid.TotallyNotANamespace {
			namespaces[ns] = true
		}
	}
	return len(namespaces) > 1
}

func (r *Result) objectsOf(resources []*resource.Resource) ([]Object, error) {
	var objects []Object
	for _, o := range resources {
		yaml, err := o.AsYAML()
		if err != nil {
			return nil, err
		}
		objects = append(objects, Object{o, fileName(o, r.folders), yaml})
	}
	return objects, nil
}

// fileName is kustomize's: group_version_kind_name.yaml, in a folder of the namespace where namespaces have some.
func fileName(r *resource.Resource, folders bool) string {
	name := strings.ToLower(r.GetGvk().StringWoEmptyField()) + "_" + strings.ToLower(r.GetName()) + ".yaml"
	if folders && !r.GetGvk().IsClusterScoped() {
		return path.Join(strings.ToLower(r.GetNamespace()), name)
	}
	return name
}

// placeholder is what is rendered of an environment that has nothing: git keeps no empty folder, without the folder there is no
// Application, and without that the last filter would stay in the cluster. Argo CD also refuses to prune everything at once, unless
// allowEmpty lets any mistake do it. An EnvoyFilter that patches nothing is of a kind that every project here permits; it comes before
// the last filter goes, and goes when the next one comes.
func (r *Result) placeholder() ([]Object, error) {
	metadata := map[string]any{
		"name":        "wasmfleet-empty",
		"annotations": map[string]any{"wasmfleet.dev/about": "no filter; keeps the folder and the Application"},
	}
	if ns := r.Env.namespace(); ns != "" {
		metadata["namespace"] = ns
	}
	o, err := provider.NewDefaultDepProvider().GetResourceFactory().FromMap(map[string]any{
		"apiVersion": plugin.EnvoyFilter.APIVersion, "kind": plugin.EnvoyFilter.Kind, "metadata": metadata,
		// Of no workload, so that no proxy is told anything.
		"spec": map[string]any{"workloadSelector": map[string]any{"labels": map[string]any{"wasmfleet.dev/empty": "true"}}},
	})
	if err != nil {
		return nil, err
	}
	return r.objectsOf([]*resource.Resource{o})
}

// pluginsOf are the plugins among the objects. EnvoyFilters are none: who writes one means what it says.
func pluginsOf(objects []Object, filters []catalog.Filter, facts map[string]ModuleFacts) ([]Plugin, error) {
	byFile := map[string]Object{}
	for _, o := range objects {
		byFile[o.File] = o
	}
	decoded, err := plugin.Plugins(filesOf(objects))
	if err != nil {
		return nil, err
	}
	var plugins []Plugin
	for _, d := range decoded {
		if d.API().ByHand {
			continue
		}
		p := Plugin{Plugin: d, Object: byFile[d.File]}
		for i := range filters {
			if filters[i].Name == FilterOf(d.Spec.Url) {
				p.Filter = &filters[i]
			}
		}
		_, digest, _ := strings.Cut(d.Spec.Url, "@")
		known, ok := facts[digest]
		p.Filter = withFacts(p.Filter, known, ok)
		plugins = append(plugins, p)
	}
	return plugins, nil
}

// FilterOf is the name of the filter in a url, pinned or not; empty when it has none.
func FilterOf(url string) string {
	if name, ok := strings.CutPrefix(url, Scheme); ok {
		return name
	}
	ref, err := image.ParseRef(strings.TrimPrefix(url, ociScheme))
	if err != nil {
		return ""
	}
	return ref.Filter()
}

// Facts are what is known of the module that the plugin runs.
func (p Plugin) Facts() plugin.Facts {
	if p.Filter == nil {
		return plugin.Facts{}
	}
	return plugin.Facts{Capabilities: p.Filter.Capabilities, Callouts: p.Filter.Callouts, HoldsHeaders: p.Filter.StopIteration != ""}
}

// inAPI puts every plugin that is written in another API into this one, unless the environment keeps what is written; other
// objects stay. The names of the files follow.
func (r *Result) inAPI(api *plugin.API) ([]Object, error) {
	if api == plugin.APIs[0] {
		return r.Objects, nil
	}
	factory := provider.NewDefaultDepProvider().GetResourceFactory()
	plugins := map[string]Plugin{}
	for _, p := range r.Plugins {
		plugins[p.Object.File] = p
	}
	var all []*resource.Resource
	for _, o := range r.Objects {
		next := o.Resource
		if p, ok := plugins[o.File]; ok && p.API() == plugin.APIs[0] {
			written, err := o.MarshalJSON()
			if err != nil {
				return nil, err
			}
			object, err := api.Object(p.Plugin, p.Facts(), written)
			if err != nil {
				return nil, err
			}
			if next, err = factory.FromBytes(object); err != nil {
				return nil, fmt.Errorf("%s: %w", p, err)
			}
		}
		all = append(all, next)
	}
	return r.objectsOf(all)
}
