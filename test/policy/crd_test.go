package policy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"sigs.k8s.io/yaml"
)

// schemaOf is how the API server checks an object of Argo CD's: by the schema of the CRD that Argo CD brings.
func schemaOf(t *testing.T, crd string) func(object map[string]any) (errs, unknown []string) {
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/argoproj/argo-cd/v3").Output()
	require.NoError(t, err)
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(module)), "manifests", "crds", crd))
	require.NoError(t, err)
	var definition apiextensionsv1.CustomResourceDefinition
	require.NoError(t, yaml.UnmarshalStrict(data, &definition))
	var internal apiextensions.JSONSchemaProps
	require.NoError(t, apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(definition.Spec.Versions[0].Schema.OpenAPIV3Schema, &internal, nil))
	validator, _, err := validation.NewSchemaValidator(&internal)
	require.NoError(t, err)
	structural, err := schema.NewStructural(&internal)
	require.NoError(t, err)
	return func(object map[string]any) (errs, unknown []string) {
		for _, err := range validator.Validate(object).Errors {
			errs = append(errs, err.Error())
		}
		return errs, pruning.PruneWithOptions(object, structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	}
}

// Argo CD's CRDs accept the files, and know every field of them.
func TestCRDs(t *testing.T) {
	for file, crd := range map[string]string{
		"appproject.yaml": "appproject-crd.yaml", "applicationset.yaml": "applicationset-crd.yaml", "multicluster/applicationset.yaml": "applicationset-crd.yaml",
	} {
		check := schemaOf(t, crd)
		read := func(from, to string) map[string]any {
			data, err := os.ReadFile(filepath.Join(root, "manifests", "argocd", file))
			require.NoError(t, err)
			require.Contains(t, string(data), from)
			var object map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(strings.Replace(string(data), from, to, 1)), &object))
			return object
		}
		errs, unknown := check(read("", ""))
		require.Empty(t, errs, file)
		require.Empty(t, unknown, file)
		errs, _ = check(read("\nspec:\n", "\nspecs:\n"))
		require.NotEmpty(t, errs, "%s: no spec", file)
		_, unknown = check(read("\nspec:\n", "\nspec:\n  another: field\n"))
		require.Equal(t, []string{"spec.another"}, unknown, file)
	}
}
