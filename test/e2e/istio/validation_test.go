package istio

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	kubecrd "istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pkg/config/crd"
	"istio.io/istio/pkg/config/schema/collections"

	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/cluster"
	"github.com/wasmfleet/wasmfleet/test/e2e/internal/programs"
)

// Each file of testdata/validation has one defect. The letters say who refuses it: i Istio's own rules, its warnings of unknown
// fields included; c the CRD with its CEL; a the API server, with strict decoding, CRD and Istio's webhook. Nobody refuses what has
// no letter: render's rules and the fetcher are there for that.
var corpus = map[string]string{
	"ef_bad_applyto":             "i c a",
	"ef_bad_context":             "i c a",
	"ef_bad_operation":           "i c a",
	"ef_bad_pgv":                 "",
	"ef_bad_type_url":            "i a",
	"ef_bad_typed_field":         "i a",
	"ef_good":                    "",
	"ef_empty":                   "", // what is rendered of an environment without a filter
	"ef_merge_no_match":          "i a",
	"ef_no_selector":             "",
	"ef_no_type":                 "i a",
	"ef_no_value":                "i a",
	"ef_old_name":                "",
	"ef_relative_op":             "",
	"ef_unknown_field":           "c a",
	"te_both":                    "c a",
	"te_good":                    "",
	"wp_bad_kind":                "i c a",
	"wp_bad_label":               "",
	"wp_bad_mode":                "i c a",
	"wp_bad_phase":               "i c a",
	"wp_bad_port":                "i c a",
	"wp_bad_priority":            "i c a",
	"wp_bad_sha":                 "i c a",
	"wp_bad_targetref":           "i a",
	"wp_bad_type":                "i c a",
	"wp_bad_url_garbage":         "i c a",
	"wp_bad_url_ociref":          "",
	"wp_bad_url_scheme":          "i c a",
	"wp_bad_version":             "i c a",
	"wp_digest_mismatch":         "",
	"wp_dup_env":                 "i c a",
	"wp_dup_ports":               "c a",
	"wp_empty_selector":          "",
	"wp_env_host_with_value":     "i c a",
	"wp_good":                    "",
	"wp_name_empty":              "c a",
	"wp_no_selector":             "",
	"wp_no_url":                  "i c a",
	"wp_pluginconfig_string":     "i c a",
	"wp_selector_and_targetrefs": "i c a",
	"wp_type_network":            "",
	"wp_unknown_field":           "c a",
	"wp_unknown_nested":          "c a",
	"wp_upper_sha":               "i c a",
	"wp_wildcard_label":          "i c a",
}

func corpusFiles(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/validation/*.yaml")
	require.NoError(t, err)
	require.Len(t, files, len(corpus))
	texts := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		texts[strings.TrimSuffix(filepath.Base(file), ".yaml")] = string(text)
	}
	return texts
}

// What render makes passes Istio's validation and the CRDs; each defect is refused by whom the table says.
func TestValidation(t *testing.T) {
	crds, err := crd.NewValidatorFromFilesWithOptions(
		[]string{programs.File(t, "istio.io/api", "kubernetes/customresourcedefinitions.gen.yaml")}, crd.WithoutCRDValidation())
	require.NoError(t, err)
	check := map[string]func(string) error{
		"i": istioRefuses,
		"c": func(text string) (err error) {
			// Of a kind without a CRD it knows nothing and panics.
			defer func() {
				if r := recover(); r != nil {
					err = fmt.Errorf("%v", r)
				}
			}()
			return crds.ValidateCustomResourceYAML(text, nil)
		},
	}
	sameVerdicts(t, check)
	for name, text := range renderedAll(t) {
		for by, refuses := range check {
			require.NoError(t, refuses(text), "%s: %s", name, by)
		}
	}
}

// sameVerdicts holds the checks, by letter, against the table.
func sameVerdicts(t *testing.T, check map[string]func(string) error) {
	t.Helper()
	want, got := map[string]string{}, map[string]string{}
	for name, text := range corpusFiles(t) {
		for letter, refuses := range check {
			if strings.Contains(corpus[name], letter) {
				want[name] += letter
			}
			if err := refuses(text); err != nil {
				got[name] += letter
				t.Logf("%s: %s: %v", name, letter, err)
			}
		}
	}
	for _, m := range []map[string]string{want, got} {
		for name, letters := range m {
			sorted := []byte(letters)
			slices.Sort(sorted)
			m[name] = string(sorted)
		}
	}
	require.Equal(t, want, got)
}

// istioRefuses is the path of istiod's webhook, with warnings of unknown fields as errors.
func istioRefuses(text string) error {
	configs, others, err := kubecrd.ParseInputs(text)
	if err != nil {
		return err
	}
	for _, o := range others {
		return fmt.Errorf("%s %s is no kind of Istio", o.APIVersion, o.Kind)
	}
	for _, c := range configs {
		schema, ok := collections.Pilot.FindByGroupVersionAliasesKind(c.GroupVersionKind)
		if !ok {
			return fmt.Errorf("no schema of %s", c.GroupVersionKind)
		}
		warning, err := schema.ValidateConfig(c)
		if err != nil {
			return err
		}
		if unknownField(fmt.Sprint(warning)) {
			return warning
		}
	}
	return nil
}

func unknownField(warning string) bool { return strings.Contains(warning, "unknown field") }

// renderedAll are the rendered manifests of each environment in each API.
func renderedAll(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, env := range newTree(t).environments() {
		for _, api := range plugin.Kinds() {
			tr := newTree(t)
			tr.set(env.Name, api)
			all[env.Name+"/"+api] = read(t, tr.render(env.Name))
		}
	}
	return all
}

// validation is the same with the real API server and the real webhook, which applies nothing.
func (f *full) validation() {
	refuses := func(text string) error {
		warnings, err := f.api.DryRun(f.Context(), text)
		for _, w := range warnings {
			if err == nil && unknownField(w) {
				err = fmt.Errorf("warning: %s", w)
			}
		}
		return err
	}
	f.api.Namespaces(f, "web-staging", "web-prod")
	for _, text := range corpusFiles(f.T) {
		objects, err := cluster.Objects([]byte(text))
		require.NoError(f, err)
		f.api.Namespaces(f, objects[0].GetNamespace())
	}
	sameVerdicts(f.T, map[string]func(string) error{"a": refuses})
	for name, text := range renderedAll(f.T) {
		require.NoError(f, refuses(text), name)
	}
}
