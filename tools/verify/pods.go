package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// lister gives the pods with a proxy in these namespaces, or in all.
type lister func(ctx context.Context, namespaces []string) ([]corev1.Pod, error)

// open is how the user wants to look, and where the pods come from.
func open(o options) (look, lister, error) {
	if o.pods != "" {
		list, err := fromFile(o.pods)
		if err != nil {
			return nil, nil, err
		}
		if o.prometheus != "" {
			l, err := newPrometheus(o.prometheus)
			return l, list, err
		}
		if !o.admin && o.via != byForward {
			return &direct{}, list, nil // no cluster needs to be asked
		}
		config, _, err := configOf(o)
		if err != nil {
			return nil, nil, err
		}
		return &forwarded{config, o.admin}, list, nil
	}
	config, inside, err := configOf(o)
	if err != nil {
		return nil, nil, err
	}
	list, err := fromCluster(config)
	if err != nil {
		return nil, nil, err
	}
	switch {
	case o.prometheus != "":
		l, err := newPrometheus(o.prometheus)
		return l, list, err
	case o.admin, o.via == byForward, o.via == "" && !inside:
		return &forwarded{config, o.admin}, list, nil
	}
	return &direct{}, list, nil
}

// configOf is how to reach the cluster, and whether this is a pod of it.
func configOf(o options) (config *rest.Config, inside bool, err error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.kubeconfig
	config, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: o.context}).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		if config, err = rest.InClusterConfig(); err != nil {
			return nil, false, errors.New("no kubeconfig (--kubeconfig, KUBECONFIG, ~/.kube/config), and this is no pod. or say --pods FILE with --prometheus URL")
		}
		inside = true
	}
	if err != nil {
		return nil, false, errUnreached("kubeconfig", err)
	}
	config.QPS, config.Burst, config.UserAgent = -1, 0, "wasmfleet-verify" // the number of asks is bounded; a bucket would only slow them
	return config, inside, nil
}

// fromFile reads what kubectl printed: a list, or one pod.
func fromFile(file string) (lister, error) {
	data, err := read(file)
	if err != nil {
		return nil, err
	}
	var list corev1.PodList
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, cli.Finding("%s: want pods as JSON, as \"kubectl get pods -A -o json\" prints them: %w", file, err)
	}
	if len(list.Items) == 0 {
		return nil, cli.Finding("%s: no pods in it. want what \"kubectl get pods -A -o json\" prints", file)
	}
	return func(_ context.Context, namespaces []string) ([]corev1.Pod, error) {
		return slices.DeleteFunc(proxies(list.Items), func(p corev1.Pod) bool {
			return namespaces != nil && !slices.Contains(namespaces, p.Namespace)
		}), nil
	}, nil
}

// page is how many pods are listed at a time.
const page = 500

func fromCluster(config *rest.Config) (lister, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, errUnreached("the cluster", err)
	}
	resource := client.Resource(corev1.SchemeGroupVersion.WithResource("pods"))
	return func(ctx context.Context, namespaces []string) (all []corev1.Pod, err error) {
		if namespaces == nil {
			namespaces = []string{metav1.NamespaceAll}
		}
		for _, ns := range namespaces {
			more := ""
			for {
				list, err := resource.Namespace(ns).List(ctx, metav1.ListOptions{Limit: page, Continue: more})
				switch {
				case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
					return nil, fmt.Errorf("pods of %s: %s. verify needs get and list of pods there", orAll(ns), oneLine(err))
				case err != nil:
					return nil, errUnreached("pods of "+orAll(ns)+" at "+config.Host, err)
				}
				var pods corev1.PodList
				if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.UnstructuredContent(), &pods); err != nil {
					return nil, err
				}
				all = append(all, pods.Items...)
				if more = list.GetContinue(); more == "" {
					break
				}
			}
		}
		return proxies(all), nil
	}, nil
}

func orAll(namespace string) string {
	if namespace == "" {
		return "all namespaces"
	}
	return namespace
}

// container is the one that Istio injects, and the only one of a gateway or a waypoint.
const container = "istio-proxy"

// proxies are the pods that run and have a proxy, by namespace and name.
func proxies(pods []corev1.Pod) (all []corev1.Pod) {
	for _, p := range pods {
		is := func(c corev1.Container) bool { return c.Name == container }
		has := slices.ContainsFunc(p.Spec.Containers, is) || slices.ContainsFunc(p.Spec.InitContainers, is)
		ended := p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
		if has && !ended {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b corev1.Pod) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	return all
}
