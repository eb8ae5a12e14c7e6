package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"istio.io/api/annotation"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

const timeout = time.Minute

var crdResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// Objects are those of a YAML text, in its order.
func Objects(text []byte) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	for documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text))); ; {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(document, &object.Object); err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// Apply is `kubectl apply --server-side --validate=strict`, as Argo CD's sync.
func (a *API) Apply(t testing.TB, text string) {
	t.Helper()
	require.NoError(t, a.TryApply(t.Context(), text))
}

// ApplyFile applies the objects of a file.
func (a *API) ApplyFile(t testing.TB, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	a.Apply(t, string(text))
}

// TryApply stops at the first object that the API refuses.
func (a *API) TryApply(ctx context.Context, text string) error {
	return a.apply(ctx, a.Dynamic, text, nil)
}

// DryRun is what TryApply would say, webhooks included, and what the API warns of.
func (a *API) DryRun(ctx context.Context, text string) (warnings []string, err error) {
	config := rest.CopyConfig(a.config)
	config.WarningHandler = warningHandler(func(text string) { warnings = append(warnings, text) })
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	err = a.apply(ctx, client, text, []string{metav1.DryRunAll})
	return warnings, err
}

type warningHandler func(text string)

func (h warningHandler) HandleWarningHeader(_ int, _, text string) { h(text) }

func (a *API) apply(ctx context.Context, client dynamic.Interface, text string, dryRun []string) error {
	objects, err := Objects([]byte(text))
	if err != nil {
		return err
	}
	for _, o := range objects {
		client, err := a.resource(client, o)
		if err != nil {
			return err
		}
		data, err := o.MarshalJSON()
		if err != nil {
			return err
		}
		force := true
		_, err = client.Patch(ctx, o.GetName(), types.ApplyPatchType, data, metav1.PatchOptions{
			FieldManager: "e2e", Force: &force, FieldValidation: metav1.FieldValidationStrict, DryRun: dryRun,
		})
		if err != nil {
			return fmt.Errorf("applying %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

// Delete deletes the objects; one that is not there is an error.
func (a *API) Delete(t testing.TB, text string) {
	t.Helper()
	objects, err := Objects([]byte(text))
	require.NoError(t, err)
	for _, o := range objects {
		client, err := a.resource(a.Dynamic, o)
		require.NoError(t, err)
		require.NoError(t, client.Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}))
	}
}

func (a *API) resource(dynamic dynamic.Interface, o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := o.GroupVersionKind()
	mapping, err := a.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	client := dynamic.Resource(mapping.Resource)
	if mapping.Scope.Name() == "namespace" {
		return client.Namespace(o.GetNamespace()), nil
	}
	return client, nil
}

// Pod is an object that nobody runs: istiod takes the labels of a sidecar's workload from it, by the address. Args are those of the proxy.
func (a *API) Pod(t testing.TB, namespace, name, address string, labels map[string]string, args ...string) {
	t.Helper()
	a.Namespaces(t, namespace)
	pods := a.CoreV1().Pods(namespace)
	pod, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec:       corev1.PodSpec{NodeName: "node", ServiceAccountName: name, Containers: []corev1.Container{{Name: name, Image: "none"}, {Name: "istio-proxy", Image: "none", Args: args}}},
	}, metav1.CreateOptions{})
	require.NoError(t, err)
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: address, PodIPs: []corev1.PodIP{{IP: address}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	_, err = pods.UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
	require.NoError(t, err)
}

// statusPort writes where the agent of a pod listens, as who moves it does; a proxy without a Pod has no place for it.
func (a *API) statusPort(t testing.TB, namespace, name string, port int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"%d"}}}`, annotation.SidecarStatusPort.Name, port)
	_, err := a.CoreV1().Pods(namespace).Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{})
	if !apierrors.IsNotFound(err) {
		require.NoError(t, err)
	}
}

func (a *API) serviceAccount(t testing.TB, namespace, name string) {
	t.Helper()
	a.Namespaces(t, namespace)
	_, err := a.CoreV1().ServiceAccounts(namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		require.NoError(t, err)
	}
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func hasCondition(object map[string]any, kind string) bool {
	conditions, _, _ := unstructured.NestedSlice(object, "status", "conditions")
	for _, c := range conditions {
		if m, ok := c.(map[string]any); ok && m["type"] == kind && m["status"] == "True" {
			return true
		}
	}
	return false
}

var client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// get is a body with status 200.
func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, resp.Status)
	}
	return body, err
}

func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := get(ctx, url)
		return err
	}
}

// Listens is nil once somebody accepts connections at the address.
func Listens(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return c.Close()
	}
}
