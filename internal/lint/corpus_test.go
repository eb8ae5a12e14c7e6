package lint

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// corpus is what render says of manifests with one defect each, which test/e2e/istio holds against Istio's own validators. Where a
// file carries more than its defect (a tag instead of a digest, SERVER on a gateway), more rules fire.
var corpus = map[string]string{
	"ef_bad_applyto":             "schema",
	"ef_bad_context":             "schema",
	"ef_bad_operation":           "schema",
	"ef_bad_pgv":                 "", // nobody's but Envoy's
	"ef_bad_type_url":            "", // istiod's webhook knows Envoy's types: test/e2e/istio
	"ef_bad_typed_field":         "", // as above
	"ef_empty":                   "",
	"ef_good":                    "",
	"ef_merge_no_match":          "selector",
	"ef_no_selector":             "selector",
	"ef_no_type":                 "", // as ef_bad_type_url
	"ef_no_value":                "", // as ef_bad_type_url
	"ef_old_name":                "",
	"ef_relative_op":             "", // istioctl warns
	"ef_unknown_field":           "schema",
	"te_both":                    "schema",
	"te_good":                    "digest",
	"wp_bad_kind":                "schema",
	"wp_bad_label":               "digest label",
	"wp_bad_mode":                "schema",
	"wp_bad_phase":               "schema",
	"wp_bad_port":                "digest gateway-mode schema",
	"wp_bad_priority":            "schema",
	"wp_bad_sha":                 "digest gateway-mode schema",
	"wp_bad_targetref":           "digest selector",
	"wp_bad_type":                "schema",
	"wp_bad_url_garbage":         "gateway-mode schema url",
	"wp_bad_url_ociref":          "gateway-mode url",
	"wp_bad_url_scheme":          "gateway-mode url",
	"wp_bad_version":             "schema",
	"wp_digest_mismatch":         "digest gateway-mode",
	"wp_dup_env":                 "digest gateway-mode schema",
	"wp_dup_ports":               "digest gateway-mode schema",
	"wp_empty_selector":          "digest selector",
	"wp_env_host_with_value":     "digest gateway-mode schema",
	"wp_good":                    "digest gateway-mode",
	"wp_name_empty":              "digest gateway-mode schema",
	"wp_no_selector":             "digest selector",
	"wp_no_url":                  "gateway-mode schema",
	"wp_pluginconfig_string":     "schema",
	"wp_selector_and_targetrefs": "digest gateway-mode schema",
	"wp_type_network":            "digest gateway-mode istio-version",
	"wp_unknown_field":           "schema",
	"wp_unknown_nested":          "schema",
	"wp_upper_sha":               "digest gateway-mode schema",
	"wp_wildcard_label":          "digest schema",
}

func TestCorpus(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("../..", "test/e2e/istio/testdata/validation/*.yaml"))
	require.NoError(t, err)
	require.Len(t, files, len(corpus))
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			want, known := corpus[name]
			require.True(t, known)
			var rules []string
			for _, f := range findingsOf(t, file, nil) {
				if f.Rule != ruleExplicit.Name { // nearly all leave something to the defaults
					rules = append(rules, f.Rule)
				}
			}
			slices.Sort(rules)
			require.Equal(t, want, strings.Join(slices.Compact(rules), " "))
		})
	}
}
