package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// tree is a repository with one filter and one environment.
const tree = `
-- filters/demo/plugin.yaml --
name: demo
title: Demo
description: A demo.
phases: [STATS]
-- manifests/components/filter-image/kustomization.yaml --
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
configurations: [fieldspecs.yaml]
-- manifests/components/filter-image/fieldspecs.yaml --
images:
- {path: spec/url, kind: WasmPlugin}
-- manifests/base/demo/kustomization.yaml --
resources: [wasmplugin.yaml]
-- manifests/base/demo/wasmplugin.yaml --
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: demo}
spec: {url: "filter://demo", imagePullPolicy: IfNotPresent, selector: {matchLabels: {app: web}}, phase: STATS, priority: 1, failStrategy: FAIL_RELOAD}
-- manifests/overlays/one/environment.yaml --
upstream: none
istio: "1.31"
-- manifests/overlays/one/kustomization.yaml --
namespace: web
resources:
- ../../base/demo
components: [digests]
-- manifests/overlays/one/digests/kustomization.yaml --
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
components: [../../../components/filter-image]
images:
- {name: "filter://demo", newName: "oci://r.example/demo", newTag: v1, digest: sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}
-- refs --
r.example/demo:v2@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
-- rendered/one/x.yaml --
`

// One defect has one exit code, whichever verb meets it: what is wrong in a file of the tree is a finding, an unknown name is usage.
func TestOneDefectOneExitCode(t *testing.T) {
	verbs := map[string][]string{
		"render":       {"render"},
		"promote":      {"promote", "--refs", "refs", "--to", "one"},
		"retire":       {"retire", "demo"},
		"diff":         {"diff", "--against", "rendered"},
		"preflight":    {"preflight"},
		"environments": {"environments"},
		"run":          {"run", "one"},
		"publish":      {"publish", "--dry-run", "--repo", "r.example", "--version", "v1", "demo"},
	}
	environments := []string{"render", "promote", "retire", "diff", "preflight", "environments", "run"}
	filters := []string{"render", "promote", "retire", "diff", "preflight", "publish"}
	for name, c := range map[string]struct {
		file, content string
		verbs         []string
		code          int
	}{
		"environment.yaml is no YAML":        {"manifests/overlays/one/environment.yaml", "upstream: [", environments, cli.ExitFindings},
		"environment.yaml has another field": {"manifests/overlays/one/environment.yaml", "upstream: none\nistio: \"1.31\"\nother: 1\n", environments, cli.ExitFindings},
		"environment.yaml without Istio":     {"manifests/overlays/one/environment.yaml", "upstream: none\n", environments, cli.ExitFindings},
		"plugin.yaml is no YAML":             {"filters/demo/plugin.yaml", "name: [", filters, cli.ExitFindings},
		"plugin.yaml has no title":           {"filters/demo/plugin.yaml", "name: demo\nphases: [STATS]\n", filters, cli.ExitFindings},
		"pins are no YAML":                   {"manifests/overlays/one/digests/kustomization.yaml", "images: [", []string{"render", "promote", "retire", "diff", "preflight"}, cli.ExitFindings},
	} {
		for _, verb := range c.verbs {
			t.Run(name+"/"+verb, func(t *testing.T) {
				repository(t)
				require.NoError(t, os.WriteFile(c.file, []byte(c.content), 0o644))
				code, said := call(verbs[verb]...)
				require.Equal(t, c.code, code, said)
				require.Contains(t, said, c.file)
				require.Equal(t, 1, strings.Count(said, "\n"), said)
			})
		}
	}
}

func TestUnknownNames(t *testing.T) {
	repository(t)
	for _, args := range [][]string{
		{"nothing"}, {}, {"render", "two"}, {"promote", "--refs", "refs", "--to", "two"}, {"promote", "--refs", "refs", "--to", "one", "dmeo"}, {"retire", "dmeo"},
		{"diff", "--against", "rendered", "two"}, {"preflight", "two"}, {"run", "two"}, {"publish", "--dry-run", "--repo", "r.example", "--version", "v1", "dmeo"},
		{"render", "--dir", "nowhere"}, {"render", "--filters", "nowhere"},
	} {
		code, said := call(args...)
		require.Equal(t, cli.ExitUsage, code, "%v: %s", args, said)
	}
}

// Each verb has help, a title in the list, and a name of its own.
func TestHelp(t *testing.T) {
	code, list := call("--help")
	require.Equal(t, cli.ExitOK, code)
	names := map[string]bool{}
	for _, v := range program.Verbs {
		require.False(t, names[v.Name], v.Name)
		names[v.Name] = true
		require.NotEmpty(t, v.Title, v.Name)
		require.Contains(t, list, "\n  "+v.Name+" ")
		code, help := call(v.Name, "-h")
		require.Equal(t, cli.ExitOK, code)
		require.True(t, strings.HasPrefix(help, "usage: wasmfleet "+v.Name+" [flags]"), help)
	}
	code, version := call("--version")
	require.Equal(t, cli.ExitOK, code)
	require.True(t, strings.HasPrefix(version, "wasmfleet "), version)
}

func call(args ...string) (code int, said string) {
	var out bytes.Buffer
	code = program.Main(args, &out, &out)
	return code, out.String()
}

func repository(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, f := range txtar.Parse([]byte(tree)).Files {
		require.NoError(t, os.MkdirAll(filepath.Dir(f.Name), 0o755))
		require.NoError(t, os.WriteFile(f.Name, f.Data, 0o644))
	}
}
