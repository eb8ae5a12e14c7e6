package policy

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	clientfake "k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"
)

// admissionOf is the API server's own plugin with the given policies in its cache. What makes it slow elsewhere, the cluster, is
// not there: it is proven with a real API server in test/e2e.
func admissionOf(t *testing.T, objects ...runtime.Object) func(o *unstructured.Unstructured) error {
	for _, o := range objects {
		if policy, ok := o.(*admissionv1.ValidatingAdmissionPolicy); ok { // what the API server fills in when it stores a policy
			equivalent := admissionv1.Equivalent
			c := policy.Spec.MatchConstraints
			c.NamespaceSelector, c.ObjectSelector, c.MatchPolicy = &metav1.LabelSelector{}, &metav1.LabelSelector{}, &equivalent
		}
	}
	plugin, err := validating.NewPlugin(nil)
	require.NoError(t, err)
	for env := range rendered(t) {
		objects = append(objects, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "web-" + env}})
	}
	client := clientfake.NewClientset(objects...)
	factory := informers.NewSharedInformerFactory(kubernetes.Interface(client), 0)
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	plugin.SetExternalKubeInformerFactory(factory)
	plugin.SetExternalKubeClientSet(client)
	plugin.SetDynamicClient(fake.NewSimpleDynamicClient(runtime.NewScheme()))
	plugin.SetRESTMapper(meta.NewDefaultRESTMapper(nil))
	plugin.SetAuthorizer(authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionAllow, "", nil
	}))
	plugin.SetDrainedNotification(stop)
	require.NoError(t, plugin.ValidateInitialization())
	factory.Start(stop)
	factory.WaitForCacheSync(stop)
	interfaces := admission.NewObjectInterfacesFromScheme(runtime.NewScheme())
	return func(o *unstructured.Unstructured) error {
		gvk := o.GroupVersionKind()
		resource := schema.GroupVersionResource{Group: gvk.Group, Version: gvk.Version, Resource: resources[gvk.Kind]}
		attributes := admission.NewAttributesRecord(o, nil, gvk, o.GetNamespace(), o.GetName(), resource, "", admission.Create, &metav1.CreateOptions{}, false, &user.DefaultInfo{Name: "somebody"})
		return plugin.Dispatch(t.Context(), attributes, interfaces)
	}
}

const (
	digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	good   = "oci://" + ours + "/demo:v1@" + digest

	// ours stands for the registry of Fork.mk.
	ours = "ghcr.io/ours"
)

// ourPolicy is the policy and its binding, for the registry of these tests in the place of that of Fork.mk.
func ourPolicy(t *testing.T) *files {
	variables, err := os.ReadFile(filepath.Join(root, "Fork.mk"))
	require.NoError(t, err)
	line := regexp.MustCompile(`(?m)^REPO \?= (\S+)$`).FindSubmatch(variables)
	require.NotNil(t, line)
	f := load(t)
	before := f.policy.DeepCopy()
	replace(f, "['"+string(line[1])+"/'", "['"+ours+"/'")
	require.NotEqual(t, before.Spec, f.policy.Spec, "the policy does not admit what make publish pushes")
	return f
}

// object makes an object of a kind; its spec is YAML in which URL is replaced.
func object(t *testing.T, kind, spec, url string) *unstructured.Unstructured {
	versions := map[string]string{"WasmPlugin": "extensions.istio.io/v1alpha1", "TrafficExtension": "extensions.istio.io/v1alpha1", "EnvoyFilter": "networking.istio.io/v1alpha3", "ServiceEntry": "networking.istio.io/v1"}
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": versions[kind], "kind": kind, "metadata": map[string]any{"name": "demo", "namespace": "web-dev"}}}
	content := map[string]any{}
	require.NoError(t, yaml.Unmarshal([]byte(strings.ReplaceAll(spec, "URL", url)), &content), spec)
	o.Object["spec"] = content
	return o
}

// forms are the places where code of a Wasm filter can stand.
var forms = map[string][2]string{
	"WasmPlugin":       {"WasmPlugin", `{url: "URL"}`},
	"TrafficExtension": {"TrafficExtension", `{wasm: {url: "URL"}}`},
	"EnvoyFilter": {"EnvoyFilter", `{configPatches: [{applyTo: EXTENSION_CONFIG, patch: {operation: ADD, value: {name: x, typed_config:
		{"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {vm_config: {code: {remote: {http_uri: {uri: "URL"}}}}}}}}}]}`},
	"EnvoyFilter, camel case": {"EnvoyFilter", `{configPatches: [{}, {applyTo: HTTP_FILTER, patch: {value: {typedConfig:
		{"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {vmConfig: {code: {remote: {httpUri: {uri: "URL"}}}}}}}}}]}`},
	"EnvoyFilter, a struct": {"EnvoyFilter", `{configPatches: [{patch: {value: {typed_config: {"@type": type.googleapis.com/udpa.type.v1.TypedStruct,
		type_url: type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, value: {config: {vm_config: {code: {remote: {http_uri: {uri: "URL"}}}}}}}}}}]}`},
	"EnvoyFilter, network": {"EnvoyFilter", `{configPatches: [{patch: {value: {typed_config:
		{"@type": type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm, config: {vm_config: {code: {remote: {http_uri: {uri: "URL"}}}}}}}}}]}`},
	"EnvoyFilter, second patch": {"EnvoyFilter", `{configPatches: [{patch: {value: {typed_config:
		{"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {vm_config: {code: {remote: {http_uri: {uri: "` + good + `"}}}}}}}}}, {patch: {value: {typed_config:
		{"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {vm_config: {code: {remote: {http_uri: {uri: "URL"}}}}}}}}}]}`},
}

// urls, and whether they are a pinned reference of our registry.
var urls = map[string]bool{
	good:                                true,
	"oci://ghcr.io/ours/demo@" + digest: true,
	"oci://ghcr.io/ours/a/b-c_d:v1.0.0-rc.1@" + digest: true,
	"":                                                              false,
	"filter://demo":                                                 false,
	"oci://ghcr.io/ours/demo:v1":                                    false,
	"oci://ghcr.io/ours/demo":                                       false,
	"ghcr.io/ours/demo:v1@" + digest:                                false,
	"https://ghcr.io/ours/demo:v1@" + digest:                        false,
	"file:///plugin.wasm":                                           false,
	"oci://ghcr.io/somebody/demo:v1@" + digest:                      false,
	"oci://ghcr.io/oursx/demo:v1@" + digest:                         false,
	"oci://evil.example.com/ghcr.io/ours/demo@" + digest:            false,
	"oci://ghcr.io/ours/../somebody/demo@" + digest:                 false,
	"oci://ghcr.io/ours/demo:v1@" + digest + "0":                    false,
	"oci://ghcr.io/ours/demo:v1@" + strings.ToUpper(digest):         false,
	"oci://ghcr.io/ours/demo:v1@sha256:0123":                        false,
	"oci://ghcr.io/ours/demo:v1@" + digest + "@" + digest:           false,
	"oci://ghcr.io/ours/demo:v1@" + digest + `\nx`:                  false,
	"oci://ghcr.io/ours/demo?x=@" + digest:                          false,
	"oci://ghcr.io/ours/demo:v1@sha512:" + strings.Repeat("0", 128): false,
}

// others are objects that are admitted or refused as a whole.
var others = map[string]struct {
	kind, spec string
	admitted   bool
}{
	"lua": {"TrafficExtension", `{lua: {inlineCode: "x"}}`, true},
	"an EnvoyFilter of something else": {"EnvoyFilter", `{configPatches: [{applyTo: HTTP_FILTER, patch: {operation: MERGE, value: {typed_config:
		{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router, config: text, value: 7}}}}, {applyTo: CLUSTER, patch: {operation: REMOVE}}]}`, true},
	"no patch":               {"EnvoyFilter", `{workloadSelector: {labels: {app: web}}}`, true},
	"the configuration only": {"EnvoyFilter", `{configPatches: [{patch: {operation: MERGE, value: {typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {configuration: {}}}}}}]}`, true},
	"a local file": {"EnvoyFilter", `{configPatches: [{patch: {value: {typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm,
		config: {vm_config: {code: {local: {filename: /x.wasm}}}}}}}}]}`, false},
	"bytes": {"EnvoyFilter", `{configPatches: [{patch: {value: {typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm,
		config: {vm_config: {code: {local: {inline_bytes: AGFzbQ==}}}}}}}}]}`, false},
	"a local file beside a good one": {"EnvoyFilter", `{configPatches: [{patch: {value: {typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm,
		config: {vm_config: {code: {remote: {http_uri: {uri: "` + good + `"}}, local: {filename: /x.wasm}}}}}}}}]}`, false},
	"two spellings": {"EnvoyFilter", `{configPatches: [{patch: {value: {typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm,
		config: {vm_config: {code: {remote: {http_uri: {uri: "` + good + `"}}}}, vmConfig: {code: {remote: {httpUri: {uri: "oci://evil.example.com/x"}}}}}}}}}]}`, false},
	"a service": {"EnvoyFilter", `{configPatches: [{applyTo: BOOTSTRAP, patch: {operation: MERGE, value: {"@type": type.googleapis.com/envoy.extensions.wasm.v3.WasmService,
		config: {vm_config: {code: {remote: {http_uri: {uri: "https://evil.example.com/x.wasm"}}}}}}}}]}`, false},
	"no url":                   {"WasmPlugin", `{phase: AUTHN}`, false},
	"no url, TrafficExtension": {"TrafficExtension", `{wasm: {pluginName: x}}`, false},
	"what is not looked at":    {"ServiceEntry", `{hosts: [x]}`, true},
}

// verdicts are the names of the cases whose verdict is not the wanted one.
func verdicts(t *testing.T, admit func(*unstructured.Unstructured) error) []string {
	var wrong []string
	for form, f := range forms {
		for url, want := range urls {
			if err := admit(object(t, f[0], f[1], url)); (err == nil) != want {
				wrong = append(wrong, form+": "+url)
			}
		}
	}
	for name, c := range others {
		if err := admit(object(t, c.kind, c.spec, "")); (err == nil) != c.admitted {
			wrong = append(wrong, name)
		}
	}
	return wrong
}

func TestAdmission(t *testing.T) {
	f := ourPolicy(t)
	admit := admissionOf(t, &f.policy, &f.policyBinding)
	for form, f := range forms {
		require.NoError(t, admit(object(t, f[0], f[1], good)), form)
	}
	require.NoError(t, admit(object(t, "ServiceEntry", `{hosts: [x]}`, "")))
	require.Empty(t, verdicts(t, admit))
	err := admit(object(t, "WasmPlugin", `{url: "URL"}`, "oci://ghcr.io/ours/demo:v1"))
	require.ErrorContains(t, err, "url oci://ghcr.io/ours/demo:v1 of WasmPlugin demo: want oci://REGISTRY/filter:tag@sha256:<digest>, REGISTRY one of ghcr.io/ours/")
	err = admit(object(t, "EnvoyFilter", forms["EnvoyFilter"][1], "oci://x"))
	require.ErrorContains(t, err, "the code of a Wasm filter in EnvoyFilter demo: want remote, with uri oci://REGISTRY/filter:tag@sha256:<digest>")
}

// A large EnvoyFilter stays within what the API server lets a policy cost, and its last patch is looked at.
func TestAdmissionOfMany(t *testing.T) {
	const one = `{patch: {value: {typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm, config: {vm_config: {code: {remote: {http_uri: {uri: "URL"}}}}}}}}}`
	f := ourPolicy(t)
	admit := admissionOf(t, &f.policy, &f.policyBinding)
	many := strings.Repeat(strings.ReplaceAll(one, "URL", good)+", ", 200)
	require.NoError(t, admit(object(t, "EnvoyFilter", "{configPatches: ["+many+one+"]}", good)))
	require.ErrorContains(t, admit(object(t, "EnvoyFilter", "{configPatches: ["+many+one+"]}", "oci://x")), "the code of a Wasm filter")
}

// What the repository renders is admitted by the policy as it stands there.
func TestRenderedIsAdmitted(t *testing.T) {
	f := load(t)
	admit := admissionOf(t, &f.policy, &f.policyBinding)
	for env, objects := range rendered(t) {
		for _, o := range objects {
			require.NoError(t, admit(o), "%s %s", env, o.GetName())
		}
	}
}

// Without the binding, or with a part of the policy gone, cases above get the wrong verdict: the tests would see it.
func TestAdmissionControls(t *testing.T) {
	for name, brk := range map[string]func(*files){
		"not bound":            func(f *files) { f.policyBinding.Spec.PolicyName = "x" },
		"no digest":            func(f *files) { replace(f, `@sha256:[0-9a-f]{64}$`, `.*$`) },
		"no end":               func(f *files) { replace(f, `{64}$`, `{64}`) },
		"no grammar":           func(f *files) { replace(f, `(/[a-z0-9]+([._-]+[a-z0-9]+)*)+`, `[^@]+`) },
		"no registry":          func(f *files) { replace(f, `['ghcr.io/ours/']`, `['']`) },
		"a prefix":             func(f *files) { replace(f, `ghcr.io/ours/'`, `ghcr.io/ours'`) },
		"no TrafficExtension":  func(f *files) { replace(f, "object.kind == 'TrafficExtension'", "false") },
		"no EnvoyFilter":       func(f *files) { replace(f, "object.kind != 'EnvoyFilter'", "true") },
		"no camel case":        func(f *files) { replace(f, "[?'typedConfig']", "[?'x']") },
		"no camel case of vm":  func(f *files) { replace(f, "c[?'vmConfig']", "c[?'x']") },
		"no camel case of uri": func(f *files) { replace(f, "[?'httpUri']", "[?'x']") },
		"no struct":            func(f *files) { replace(f, "t[?'value'].orValue(dyn({}))", "dyn({})") },
		"no local":             func(f *files) { replace(f, "'local' in code", "false") },
		"the filter alone":     func(f *files) { replace(f, "[v, v[?'typed_config']", "[v[?'typed_config']") },
		"http only":            func(f *files) { replace(f, "'.wasm.v3.'", "'http.wasm.v3.'") },
		"kinds less": func(f *files) {
			f.policy.Spec.MatchConstraints.ResourceRules = f.policy.Spec.MatchConstraints.ResourceRules[:1]
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			f := ourPolicy(t)
			before := f.policy.DeepCopy()
			brk(f)
			if name != "not bound" {
				require.NotEqual(t, before.Spec, f.policy.Spec, "the break does not apply")
			}
			require.NotEmpty(t, verdicts(t, admissionOf(t, &f.policy, &f.policyBinding)))
		})
	}
}

// An expression that does not compile refuses everything: it is seen at once, and not in a cluster.
func TestAdmissionFailsClosed(t *testing.T) {
	f := ourPolicy(t)
	f.policy.Spec.Validations = append(f.policy.Spec.Validations, admissionv1.Validation{Expression: "object.spec.("})
	err := admissionOf(t, &f.policy, &f.policyBinding)(object(t, "WasmPlugin", `{url: "URL"}`, good))
	require.Error(t, err)
	require.False(t, errors.Is(err, context.Canceled))
}

// replace replaces text in every expression of the policy.
func replace(f *files, from, to string) {
	for i := range f.policy.Spec.Variables {
		e := &f.policy.Spec.Variables[i].Expression
		*e = strings.ReplaceAll(*e, from, to)
	}
	for i := range f.policy.Spec.Validations {
		e := &f.policy.Spec.Validations[i].Expression
		*e = strings.ReplaceAll(*e, from, to)
	}
}
