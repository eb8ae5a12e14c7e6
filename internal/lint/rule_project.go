package lint

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

var ruleProject = Rule{
	"project",
	"Argo CD's project permits every kind and namespace: what it does not is rendered, committed, and never synced",
	"a Secret, and an argocd/appproject.yaml that permits WasmPlugins",
	func(r *manifests.Result, found report) {
		file := filepath.Join(r.Env.Manifests, "argocd", "appproject.yaml")
		project, err := readProject(file)
		for _, o := range r.Rendered {
			gvk := o.GetGvk()
			scoped := gvk.IsClusterScoped()
			switch {
			case err != nil:
				found(atObject(o), "%v", err)
			case project == nil: // somebody else's Argo CD, or none
			case !project.permits(gvk.Group, gvk.Kind, scoped):
				found(atObject(o, "kind"), "%s does not permit kind %s: Argo CD would not sync it. add it there, or leave the object out", file, gvk.Kind)
			case !scoped && !project.deploys(o.GetNamespace()):
				found(atObject(o, "metadata", "namespace"), "%s does not permit namespace %q: Argo CD would not sync it. add it to destinations there, or deploy it elsewhere", file, o.GetNamespace())
			}
		}
	},
}

// appProject is what of an AppProject decides what may be synced.
type appProject struct {
	Spec struct {
		Destinations []struct{ Namespace string }
		Cluster      []groupKind `json:"clusterResourceWhitelist"`
		Namespaced   []groupKind `json:"namespaceResourceWhitelist"`
	}
}

type groupKind struct{ Group, Kind string }

// readProject is nil when there is no such file.
func readProject(file string) (*appProject, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var p appProject
	return &p, yaml.Unmarshal(data, &p)
}

// permits follows AppProject.IsGroupKindPermitted: without a list everything of a namespace is permitted, and nothing of a cluster.
func (p *appProject) permits(group, kind string, clusterScoped bool) bool {
	list := p.Spec.Namespaced
	if clusterScoped {
		list = p.Spec.Cluster
	} else if list == nil {
		return true
	}
	return slices.ContainsFunc(list, func(gk groupKind) bool { return matches(gk.Group, group) && matches(gk.Kind, kind) })
}

func (p *appProject) deploys(namespace string) bool {
	permitted := false
	for _, d := range p.Spec.Destinations {
		if denied, ok := cutNot(d.Namespace); ok && matches(denied, namespace) {
			return false
		} else if !ok && matches(d.Namespace, namespace) {
			permitted = true
		}
	}
	return permitted
}

// cutNot is the pattern of a destination that is excluded.
func cutNot(pattern string) (string, bool) {
	if len(pattern) > 0 && pattern[0] == '!' {
		return pattern[1:], true
	}
	return pattern, false
}

func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return err == nil && ok
}
