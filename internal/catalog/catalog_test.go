package catalog_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
)

const good = `name: demo
title: A title
description: A description.
phases: [AUTHN]
`

func write(t *testing.T, folder, content string) string {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, folder), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, folder, catalog.File), []byte(content), 0o644))
	return dir
}

func TestLoad(t *testing.T) {
	dir := write(t, "demo", good)
	filters, err := catalog.Load(dir)
	require.NoError(t, err)
	require.Equal(t, []catalog.Filter{{Dir: filepath.Join(dir, "demo"), Name: "demo", Title: "A title", Description: "A description.", Phases: []string{"AUTHN"}}}, filters)
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct{ folder, content, want string }{
		"other folder":    {"other", good, `name "demo" is not the folder's name "other"`},
		"unknown key":     {"demo", good + "nmae: x\n", "line 5: field nmae not found"},
		"dash at the end": {"a-", "name: a-\ntitle: t\ndescription: d\nphases: [AUTHN]\n", `name "a-": want lower-case letters`},
		"underscore":      {"a_b", "name: a_b\ntitle: t\ndescription: d\nphases: [AUTHN]\n", `name "a_b": want lower-case letters`},
		"no title":        {"demo", "name: demo\nphases: [AUTHN]\n", "title and description are required"},
		"no phase":        {"demo", "name: demo\ntitle: t\ndescription: d\n", "phases: want at least one of AUTHN"},
		"unknown phase":   {"demo", "name: demo\ntitle: t\ndescription: d\nphases: [FIRST]\n", `phase "FIRST": want one of`},
		"bad istio":       {"demo", good + "istio: \"1.28\"\n", `istio "1.28": want a lower bound`},
		"bad pointer":     {"demo", good + "callouts: [{upstream: x, purpose: token}]\n", `callout upstream "x": want a JSON pointer`},
		"bad purpose":     {"demo", good + "callouts: [{upstream: /x, purpose: fun}]\n", `callout purpose "fun": want one of token`},
		"not yaml":        {"demo", "name: [\n", "plugin.yaml: yaml:"},
		"a list instead":  {"demo", "- name\n", "cannot unmarshal"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := catalog.Load(write(t, c.folder, c.content))
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestFindNamesTheKnownFilters(t *testing.T) {
	dir := write(t, "demo", good)
	_, err := catalog.Find(dir, "dmeo")
	require.EqualError(t, err, `unknown filter "dmeo". filters in `+dir+": demo")
	_, err = catalog.Find(t.TempDir(), "demo")
	require.ErrorContains(t, err, "run this from the repository's root")
}

// The filters of this repository keep the contract.
func TestThisRepository(t *testing.T) {
	filters, err := catalog.Load("../../filters")
	require.NoError(t, err)
	require.NotEmpty(t, filters)
}
