package policy

import (
	"maps"
	"slices"

	argo "github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func groupKind(group, kind string) metav1.GroupKind {
	return metav1.GroupKind{Group: group, Kind: kind}
}

// metaOf is the metadata that Applications of the template get.
func metaOf(t argo.ApplicationSetTemplate) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: t.Name, Namespace: t.Namespace, Annotations: t.Annotations, Labels: t.Labels, Finalizers: t.Finalizers}
}
