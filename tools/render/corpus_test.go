package main

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
	"wp_bad_port":                "digest match schema",
	"wp_bad_priority":            "schema",
	"wp_bad_sha":                 "digest match schema",
	"wp_bad_targetref":           "digest selector",
	"wp_bad_type":                "schema",
	"wp_bad_url_garbage":         "match schema url",
	"wp_bad_url_ociref":          "match url",
	"wp_bad_url_scheme":          "match url",
	"wp_bad_version":             "schema",
	"wp_digest_mismatch":         "digest match",
	"wp_dup_env":                 "digest match schema",
	"wp_dup_ports":               "digest match schema",
	"wp_empty_selector":          "digest selector",
	"wp_env_host_with_value":     "digest match schema",
	"wp_good":                    "digest match",
	"wp_name_empty":              "digest match schema",
	"wp_no_selector":             "digest selector",
	"wp_no_url":                  "match schema",
	"wp_pluginconfig_string":     "schema",
	"wp_selector_and_targetrefs": "digest match schema",
	"wp_type_network":            "digest istio-version match",
	"wp_unknown_field":           "schema",
	"wp_unknown_nested":          "schema",
	"wp_upper_sha":               "digest match schema",
	"wp_wildcard_label":          "digest schema",
}

func TestCorpus(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(repository, "test/e2e/istio/testdata/validation/*.yaml"))
	require.NoError(t, err)
	require.Len(t, files, len(corpus))
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			want, known := corpus[name]
			require.True(t, known)
			var rules []string
			for _, f := range findingsOf(t, file, nil) {
				if f.Rule != ruleExplicit.name { // nearly all leave something to the defaults
					rules = append(rules, f.Rule)
				}
			}
			slices.Sort(rules)
			require.Equal(t, want, strings.Join(slices.Compact(rules), " "))
		})
	}
}
