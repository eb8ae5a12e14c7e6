// Package policy holds manifests/argocd and the alerts of docs/alerts against the code that will read them: Argo CD's types and
// project rules, the API server's admission plugin with its CEL, Prometheus's rules and engine. A module of its own, so that none
// of it reaches the root's go.mod.
package policy

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	argoutils "github.com/argoproj/argo-cd/v3/applicationset/utils"
	argo "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

const root = "../.."

// files is what manifests/argocd holds.
type files struct {
	project       argo.AppProject
	set, multi    argo.ApplicationSet
	role          rbacv1.ClusterRole
	roleBinding   rbacv1.ClusterRoleBinding
	config        corev1.ConfigMap
	policy        admissionv1.ValidatingAdmissionPolicy
	policyBinding admissionv1.ValidatingAdmissionPolicyBinding
}

// load reads every file of the folder into its type, strictly; a file that nobody reads is an error.
func load(t *testing.T) *files {
	f := &files{}
	into := map[string]any{
		"appproject.yaml": &f.project, "applicationset.yaml": &f.set, "multicluster/applicationset.yaml": &f.multi,
		"clusterrole.yaml": &f.role, "clusterrolebinding.yaml": &f.roleBinding, "configmap.yaml": &f.config,
		"validatingadmissionpolicy.yaml": &f.policy, "validatingadmissionpolicybinding.yaml": &f.policyBinding,
	}
	dir := filepath.Join(root, "manifests", "argocd")
	found, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	require.NoError(t, err)
	deeper, err := filepath.Glob(filepath.Join(dir, "*", "*.yaml"))
	require.NoError(t, err)
	require.Len(t, slices.Concat(found, deeper), len(into))
	for name, object := range into {
		data, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.NoError(t, yaml.UnmarshalStrict(data, object), name)
	}
	return f
}

// rendered are the objects of each environment.
func rendered(t *testing.T) map[string][]*unstructured.Unstructured {
	folder := filepath.Join(root, "manifests", "rendered")
	all := map[string][]*unstructured.Unstructured{}
	require.NoError(t, filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		object := &unstructured.Unstructured{}
		require.NoError(t, yaml.Unmarshal(data, &object.Object))
		rel, err := filepath.Rel(folder, path)
		env, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
		all[env] = append(all[env], object)
		return err
	}))
	require.NotEmpty(t, all)
	return all
}

// applications is what Argo CD's ApplicationSet controller makes of the folders, by its own templates.
func applications(set argo.ApplicationSet, envs []string) (map[string]*argo.Application, error) {
	generator := set.Spec.Generators[0]
	git := generator.Git
	cluster := map[string]any{}
	if generator.Matrix != nil {
		git = generator.Matrix.Generators[0].Git
		cluster = map[string]any{"server": "https://kubernetes.default.svc", "nameNormalized": "c1"}
	}
	apps := map[string]*argo.Application{}
	for _, env := range envs {
		folder := "manifests/rendered/" + env
		matches, err := filepath.Match(git.Directories[0].Path, folder)
		if err != nil || !matches {
			return nil, fmt.Errorf("no Application for %s: %w", folder, err)
		}
		params := map[string]any{"path": map[string]any{"path": folder, "basename": env}}
		for k, v := range cluster {
			params[k] = v
		}
		template := &argo.Application{ObjectMeta: metaOf(set.Spec.Template), Spec: set.Spec.Template.Spec}
		app, err := (&argoutils.Render{}).RenderTemplateParams(template, set.Spec.SyncPolicy, params, set.Spec.GoTemplate, set.Spec.GoTemplateOptions)
		if err != nil {
			return nil, err
		}
		apps[env] = app
	}
	return apps, nil
}

// rule is a promise about the files, and what breaks it: each break must be found.
type rule struct {
	check  func(*files, map[string][]*unstructured.Unstructured) error
	breaks map[string]func(*files)
}

// eachSet checks both ApplicationSets.
func eachSet(check func(f *files, set argo.ApplicationSet, apps map[string]*argo.Application, objects map[string][]*unstructured.Unstructured) error) func(*files, map[string][]*unstructured.Unstructured) error {
	return func(f *files, objects map[string][]*unstructured.Unstructured) error {
		for _, set := range []argo.ApplicationSet{f.set, f.multi} {
			apps, err := applications(set, keys(objects))
			if err == nil {
				err = check(f, set, apps, objects)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

var rules = map[string]rule{
	"this repository only": {
		eachSet(func(f *files, set argo.ApplicationSet, apps map[string]*argo.Application, _ map[string][]*unstructured.Unstructured) error {
			git := set.Spec.Generators[0].Git
			if git == nil {
				git = set.Spec.Generators[0].Matrix.Generators[0].Git
			}
			for _, app := range apps {
				if !f.project.IsSourcePermitted(*app.Spec.Source) || app.Spec.Source.RepoURL != git.RepoURL || app.Spec.Source.TargetRevision != git.Revision {
					return fmt.Errorf("%s syncs %s, generated from %s", app.Name, app.Spec.Source.RepoURL, git.RepoURL)
				}
			}
			if f.project.IsSourcePermitted(argo.ApplicationSource{RepoURL: "https://github.com/somebody/else.git"}) {
				return fmt.Errorf("another repository is permitted")
			}
			return nil
		}),
		map[string]func(*files){
			"any repository":           func(f *files) { f.project.Spec.SourceRepos = []string{"*"} },
			"another in the template":  func(f *files) { f.set.Spec.Template.Spec.Source.RepoURL += "x" },
			"another in the generator": func(f *files) { f.set.Spec.Generators[0].Git.RepoURL += "x" },
			"another branch":           func(f *files) { f.multi.Spec.Template.Spec.Source.TargetRevision = "dev" },
		},
	},
	"these kinds only": {
		func(f *files, objects map[string][]*unstructured.Unstructured) error {
			for env, list := range objects {
				for _, o := range list {
					if !f.project.IsGroupKindNamePermitted(o.GroupVersionKind().GroupKind(), o.GetName(), true) {
						return fmt.Errorf("%s renders a %s, which is not permitted", env, o.GroupVersionKind())
					}
				}
			}
			for _, gk := range kinds {
				if !f.project.IsGroupKindNamePermitted(gk, "x", true) {
					return fmt.Errorf("%s is not permitted", gk)
				}
			}
			for _, gk := range []schema.GroupKind{{Group: "", Kind: "ConfigMap"}, {Group: "", Kind: "Secret"}, {Group: "apps", Kind: "Deployment"},
				{Group: "networking.istio.io", Kind: "VirtualService"}, {Group: "security.istio.io", Kind: "AuthorizationPolicy"},
				{Group: "rbac.authorization.k8s.io", Kind: "Role"}, {Group: "argoproj.io", Kind: "Application"}, {Group: "batch", Kind: "Job"}} {
				if f.project.IsGroupKindNamePermitted(gk, "x", true) {
					return fmt.Errorf("%s is permitted", gk)
				}
			}
			for _, gk := range []schema.GroupKind{{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}, {Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"},
				{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicy"}, {Group: "", Kind: "PersistentVolume"}} {
				if f.project.IsGroupKindNamePermitted(gk, "x", false) {
					return fmt.Errorf("%s is permitted in the cluster", gk)
				}
			}
			return nil
		},
		map[string]func(*files){
			"all kinds": func(f *files) { f.project.Spec.NamespaceResourceWhitelist[0] = groupKind("*", "*") },
			"a further kind": func(f *files) {
				f.project.Spec.NamespaceResourceWhitelist = append(f.project.Spec.NamespaceResourceWhitelist, groupKind("", "Secret"))
			},
			"a kind less": func(f *files) {
				f.project.Spec.NamespaceResourceWhitelist = f.project.Spec.NamespaceResourceWhitelist[1:]
			},
			"no list, so all": func(f *files) { f.project.Spec.NamespaceResourceWhitelist = nil },
			"all of a cluster's": func(f *files) {
				f.project.Spec.ClusterResourceWhitelist[0].Group, f.project.Spec.ClusterResourceWhitelist[0].Kind = "*", "*"
			},
		},
	},
	"these namespaces only": {
		eachSet(func(f *files, _ argo.ApplicationSet, apps map[string]*argo.Application, objects map[string][]*unstructured.Unstructured) error {
			permitted := func(namespace, server string) (bool, error) {
				return f.project.IsDestinationPermitted(&argo.Cluster{Server: server, Name: "c1"}, namespace, nil)
			}
			for env, app := range apps {
				for _, o := range objects[env] {
					if o.GetNamespace() != app.Spec.Destination.Namespace {
						return fmt.Errorf("%s renders into %s, its Application is for %s", env, o.GetNamespace(), app.Spec.Destination.Namespace)
					}
				}
				if ok, err := permitted(app.Spec.Destination.Namespace, app.Spec.Destination.Server); err != nil || !ok {
					return fmt.Errorf("%s: destination %v is not permitted: %w", env, app.Spec.Destination, err)
				}
			}
			for _, namespace := range []string{"default", "kube-system", "istio-system", "argocd"} {
				if ok, err := permitted(namespace, "https://kubernetes.default.svc"); err != nil || ok {
					return fmt.Errorf("namespace %s is permitted: %w", namespace, err)
				}
			}
			if ok, err := permitted("web-dev", "https://elsewhere.example.com"); err != nil || ok {
				return fmt.Errorf("a cluster that is not listed is permitted: %w", err)
			}
			return nil
		}),
		map[string]func(*files){
			"all namespaces":     func(f *files) { f.project.Spec.Destinations[0].Namespace = "*" },
			"all clusters":       func(f *files) { f.project.Spec.Destinations[0].Server = "*" },
			"no namespace":       func(f *files) { f.project.Spec.Destinations = nil },
			"one for all":        func(f *files) { f.set.Spec.Template.Spec.Destination.Namespace = "web-dev" },
			"without a template": func(f *files) { f.multi.Spec.GoTemplate = false },
		},
	},
	"a folder is an Application": {
		eachSet(func(f *files, _ argo.ApplicationSet, apps map[string]*argo.Application, _ map[string][]*unstructured.Unstructured) error {
			names := map[string]bool{}
			for env, app := range apps {
				names[app.Name] = true
				if app.Spec.Source.Path != "manifests/rendered/"+env || app.Spec.Project != f.project.Name || app.Namespace != "" && app.Namespace != f.project.Namespace {
					return fmt.Errorf("%s: path %s, project %s", env, app.Spec.Source.Path, app.Spec.Project)
				}
				if app.Spec.Source.Directory == nil || !app.Spec.Source.Directory.Recurse {
					return fmt.Errorf("%s: want directory.recurse, for the folders of namespaces", env)
				}
			}
			if len(names) != len(apps) {
				return fmt.Errorf("%d names for %d Applications", len(names), len(apps))
			}
			return nil
		}),
		map[string]func(*files){
			"one folder":      func(f *files) { f.set.Spec.Generators[0].Git.Directories[0].Path = "manifests/rendered/dev" },
			"no folders":      func(f *files) { f.multi.Spec.Template.Spec.Source.Directory = nil },
			"one name":        func(f *files) { f.multi.Spec.Template.Name = "wasmfleet" },
			"the overlay":     func(f *files) { f.set.Spec.Template.Spec.Source.Path = "manifests/overlays/{{.path.basename}}" },
			"another project": func(f *files) { f.set.Spec.Template.Spec.Project = "default" },
		},
	},
	"synced, pruned, healed": {
		eachSet(func(_ *files, _ argo.ApplicationSet, apps map[string]*argo.Application, _ map[string][]*unstructured.Unstructured) error {
			for env, app := range apps {
				auto := app.Spec.SyncPolicy.Automated
				if auto == nil || !auto.GetPrune() || !auto.GetSelfHeal() || auto.GetAllowEmpty() || auto.Enabled != nil && !*auto.Enabled {
					return fmt.Errorf("%s: want automated with prune and selfHeal, without allowEmpty", env)
				}
				retry := app.Spec.SyncPolicy.Retry
				if retry == nil || !retry.Refresh || retry.Limit < 1 || retry.Limit > 10 || retry.Backoff == nil {
					return fmt.Errorf("%s: want a few retries with refresh", env)
				}
				if longest, err := time.ParseDuration(retry.Backoff.MaxDuration); err != nil || longest > 5*time.Minute {
					return fmt.Errorf("%s: the longest wait is %q", env, retry.Backoff.MaxDuration)
				}
				if !slices.Contains(app.Spec.SyncPolicy.SyncOptions, "ServerSideApply=true") {
					return fmt.Errorf("%s: want ServerSideApply", env)
				}
			}
			return nil
		}),
		map[string]func(*files){
			"by hand":          func(f *files) { f.set.Spec.Template.Spec.SyncPolicy.Automated = nil },
			"switched off":     func(f *files) { f.set.Spec.Template.Spec.SyncPolicy.Automated.Enabled = new(bool) },
			"no prune":         func(f *files) { f.set.Spec.Template.Spec.SyncPolicy.Automated.Prune = nil },
			"no selfHeal":      func(f *files) { f.multi.Spec.Template.Spec.SyncPolicy.Automated.SelfHeal = nil },
			"allowEmpty":       func(f *files) { yes := true; f.set.Spec.Template.Spec.SyncPolicy.Automated.AllowEmpty = &yes },
			"no retry":         func(f *files) { f.set.Spec.Template.Spec.SyncPolicy.Retry = nil },
			"retry of the old": func(f *files) { f.set.Spec.Template.Spec.SyncPolicy.Retry.Refresh = false },
			"for ever":         func(f *files) { f.set.Spec.Template.Spec.SyncPolicy.Retry.Limit = -1 },
			"hours":            func(f *files) { f.multi.Spec.Template.Spec.SyncPolicy.Retry.Backoff.MaxDuration = "2h" },
			"client-side":      func(f *files) { f.set.Spec.Template.Spec.SyncPolicy.SyncOptions = nil },
		},
	},
	// Which environments have windows is the content's to say.
	"a window holds wherever its environment is": {
		func(f *files, objects map[string][]*unstructured.Unstructured) error {
			one, err := applications(f.set, keys(objects))
			if err != nil {
				return err
			}
			each, err := applications(f.multi, keys(objects))
			if err != nil {
				return err
			}
			used := map[*argo.SyncWindow]bool{}
			for env, app := range one {
				windows := f.project.Spec.SyncWindows.Matches(app)
				if there := f.project.Spec.SyncWindows.Matches(each[env]); !reflect.DeepEqual(windows, there) {
					return fmt.Errorf("%s has the windows %v, %s has %v", app.Name, windows, each[env].Name, there)
				}
				if windows.HasWindows() {
					for _, w := range *windows {
						used[w] = true
					}
				}
			}
			for _, w := range f.project.Spec.SyncWindows {
				if err := w.Validate(); err != nil {
					return err
				}
				if !used[w] {
					return fmt.Errorf("the window of %v is of no environment", w.Applications)
				}
				if !w.ManualSync {
					return fmt.Errorf("want manualSync, for a rollback out of hours")
				}
			}
			return f.project.ValidateProject()
		},
		map[string]func(*files){
			"one cluster only": func(f *files) { w := f.project.Spec.SyncWindows[0]; w.Applications = w.Applications[:1] },
			"no rollback":      func(f *files) { f.project.Spec.SyncWindows[0].ManualSync = false },
			"no cron":          func(f *files) { f.project.Spec.SyncWindows[0].Schedule = "at eight" },
			"another's name":   func(f *files) { f.set.Spec.Template.Name = "{{.path.basename}}" },
			"of nothing":       func(f *files) { f.project.Spec.SyncWindows[0].Applications = []string{"gone"} },
		},
	},
	"no difference is hidden": {
		func(f *files, _ map[string][]*unstructured.Unstructured) error {
			for _, set := range []argo.ApplicationSet{f.set, f.multi} {
				spec := set.Spec.Template.Spec
				if len(spec.IgnoreDifferences) > 0 || len(set.Spec.Template.Annotations) > 0 || set.Spec.TemplatePatch != nil {
					return fmt.Errorf("%s: ignoreDifferences, annotations or a patch", set.Name)
				}
				for _, option := range spec.SyncPolicy.SyncOptions {
					if !slices.Contains([]string{"ServerSideApply=true", "FailOnSharedResource=true"}, option) {
						return fmt.Errorf("%s: option %s", set.Name, option)
					}
				}
			}
			if want := map[string]string{"resource.respectRBAC": "strict"}; !reflect.DeepEqual(f.config.Data, want) {
				return fmt.Errorf("argocd-cm: %v", f.config.Data)
			}
			return nil
		},
		map[string]func(*files){
			"ignoreDifferences": func(f *files) {
				f.set.Spec.Template.Spec.IgnoreDifferences = argo.IgnoreDifferences{{Kind: "WasmPlugin", JSONPointers: []string{"/spec/url"}}}
			},
			"an annotation": func(f *files) {
				f.set.Spec.Template.Annotations = map[string]string{"argocd.argoproj.io/compare-options": "IgnoreExtraneous"}
			},
			"no validation": func(f *files) { f.multi.Spec.Template.Spec.SyncPolicy.SyncOptions = []string{"Validate=false"} },
			"a patch":       func(f *files) { text := ""; f.set.Spec.TemplatePatch = &text },
			"for the server": func(f *files) {
				f.config.Data["resource.customizations.ignoreDifferences.all"] = "jsonPointers: [/spec]"
			},
		},
	},
	"a folder that is gone harms nobody": {
		func(f *files, _ map[string][]*unstructured.Unstructured) error {
			for _, set := range []argo.ApplicationSet{f.set, f.multi} {
				if set.Spec.SyncPolicy == nil || !set.Spec.SyncPolicy.PreserveResourcesOnDeletion || len(set.Spec.Template.Finalizers) > 0 {
					return fmt.Errorf("%s deletes filters with the folder", set.Name)
				}
			}
			return nil
		},
		map[string]func(*files){
			"not preserved": func(f *files) { f.set.Spec.SyncPolicy = nil },
			"a finalizer":   func(f *files) { f.multi.Spec.Template.Finalizers = []string{"resources-finalizer.argocd.argoproj.io"} },
		},
	},
	"the controller may do that and no more": {
		func(f *files, _ map[string][]*unstructured.Unstructured) error {
			allowed := map[string][]string{}
			for _, r := range f.role.Rules {
				if len(r.NonResourceURLs)+len(r.ResourceNames) > 0 {
					return fmt.Errorf("a rule of something else: %v", r)
				}
				for _, group := range r.APIGroups {
					for _, resource := range r.Resources {
						allowed[group+"/"+resource] = append(allowed[group+"/"+resource], r.Verbs...)
					}
				}
			}
			read := []string{"get", "list", "watch"}
			write := slices.Concat(read, []string{"create", "update", "patch"})
			want := map[string][]string{"/namespaces": write}
			for _, gk := range kinds {
				want[gk.Group+"/"+resources[gk.Kind]] = slices.Concat(write, []string{"delete"})
			}
			if !reflect.DeepEqual(want, allowed) {
				return fmt.Errorf("the role allows %v", allowed)
			}
			subjects := []rbacv1.Subject{{Kind: "ServiceAccount", Name: "argocd-application-controller", Namespace: f.project.Namespace}}
			if f.roleBinding.RoleRef.Name != f.role.Name || f.roleBinding.RoleRef.Kind != "ClusterRole" || !reflect.DeepEqual(f.roleBinding.Subjects, subjects) {
				return fmt.Errorf("the binding is %v", f.roleBinding)
			}
			return nil
		},
		map[string]func(*files){
			"all resources":        func(f *files) { f.role.Rules[0].Resources = []string{"*"} },
			"all groups":           func(f *files) { f.role.Rules[0].APIGroups = []string{"*"} },
			"all verbs":            func(f *files) { f.role.Rules[1].Verbs = []string{"*"} },
			"namespaces to delete": func(f *files) { f.role.Rules[2].Verbs = append(f.role.Rules[2].Verbs, "delete") },
			"secrets": func(f *files) {
				f.role.Rules = append(f.role.Rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}})
			},
			"a kind less": func(f *files) { f.role.Rules[0].Resources = f.role.Rules[0].Resources[:1] },
			"no prune":    func(f *files) { f.role.Rules[0].Verbs = f.role.Rules[0].Verbs[:6] },
			"everybody": func(f *files) {
				f.roleBinding.Subjects[0].Kind, f.roleBinding.Subjects[0].Name = "Group", "system:authenticated"
			},
			"cluster-admin": func(f *files) { f.roleBinding.RoleRef.Name = "cluster-admin" },
		},
	},
	"admission cannot be passed by": {
		func(f *files, _ map[string][]*unstructured.Unstructured) error {
			p, b := f.policy.Spec, f.policyBinding.Spec
			switch c := p.MatchConstraints; {
			case p.FailurePolicy == nil || *p.FailurePolicy != admissionv1.Fail:
				return fmt.Errorf("a failure of the policy admits")
			case len(p.MatchConditions) > 0 || c.NamespaceSelector != nil || c.ObjectSelector != nil || len(c.ExcludeResourceRules) > 0 || p.ParamKind != nil:
				return fmt.Errorf("some objects are not looked at")
			case b.MatchResources != nil || !reflect.DeepEqual(b.ValidationActions, []admissionv1.ValidationAction{admissionv1.Deny}) || b.PolicyName != f.policy.Name:
				return fmt.Errorf("the binding does not deny everywhere")
			}
			return nil
		},
		map[string]func(*files){
			"failurePolicy": func(f *files) { ignore := admissionv1.Ignore; f.policy.Spec.FailurePolicy = &ignore },
			"a condition": func(f *files) {
				f.policy.Spec.MatchConditions = []admissionv1.MatchCondition{{Name: "x", Expression: "false"}}
			},
			"a warning": func(f *files) {
				f.policyBinding.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Warn}
			},
			"another": func(f *files) { f.policyBinding.Spec.PolicyName = "x" },
			"some namespaces": func(f *files) {
				f.policyBinding.Spec.MatchResources = &admissionv1.MatchResources{}
			},
		},
	},
}

// kinds are what the repository renders, and resources are their names in RBAC.
var (
	kinds = []schema.GroupKind{
		{Group: "extensions.istio.io", Kind: "WasmPlugin"}, {Group: "extensions.istio.io", Kind: "TrafficExtension"},
		{Group: "networking.istio.io", Kind: "EnvoyFilter"}, {Group: "networking.istio.io", Kind: "ServiceEntry"},
	}
	resources = map[string]string{"WasmPlugin": "wasmplugins", "TrafficExtension": "trafficextensions", "EnvoyFilter": "envoyfilters", "ServiceEntry": "serviceentries"}
)

// Each rule holds for the files, and finds each break of it.
func TestRules(t *testing.T) {
	objects := rendered(t)
	for name, r := range rules {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			require.NoError(t, r.check(load(t), objects))
			require.NotEmpty(t, r.breaks)
			for name, brk := range r.breaks {
				broken := load(t)
				brk(broken)
				require.Error(t, r.check(broken, objects), name)
			}
		})
	}
}
