package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
)

// Rendering is offline: kustomize would clone a remote base with git and fetch a remote file over HTTP. checkOffline finds the
// first, and everything that leaves the tree, before kustomize runs; kustomize's HTTP client is http.DefaultTransport, and that
// refuses the second.
func init() { http.DefaultTransport = offline{} }

type offline struct{}

func (offline) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("%s is remote, and render is offline. copy the file into the tree", r.URL)
}

// checkOffline walks the kustomizations that dir includes. Each entry must be a file or folder below root, the folder of the
// manifests, also when symbolic links are followed.
func checkOffline(root, dir string) error {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return err
	}
	return walk(root, dir, map[string]bool{})
}

func walk(root, dir string, seen map[string]bool) error {
	if seen[dir] {
		return nil
	}
	seen[dir] = true
	file, k, err := readKustomization(dir)
	if err != nil {
		return err
	}
	if len(k.HelmCharts)+len(k.HelmChartInflationGenerator) > 0 || k.HelmGlobals != nil {
		return fmt.Errorf("%s: helm charts are not rendered: helm is a program that this would run. commit what it makes as a base", file)
	}
	for _, entry := range slices.Concat(k.Resources, k.Components, k.Generators, k.Transformers, k.Validators) {
		if strings.Contains(entry, "\n") {
			continue // written in place
		}
		at := filepath.Join(dir, entry)
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && looksRemote(entry):
			return fmt.Errorf("%s: %q is remote, and render is offline. copy it into the tree", file, entry)
		case err != nil:
			return fmt.Errorf("%s: %w", file, err)
		}
		real, err := filepath.EvalSymlinks(at)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if rel, err := filepath.Rel(root, real); err != nil || !filepath.IsLocal(rel) {
			return fmt.Errorf("%s: %q leaves %s. what is rendered must be in there", file, entry, root)
		}
		if info.IsDir() {
			if err := walk(root, at, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

func readKustomization(dir string) (file string, k types.Kustomization, err error) {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		file = filepath.Join(dir, name)
		content, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = k.Unmarshal(content)
		}
		if err != nil {
			return file, k, fmt.Errorf("%s: %w", file, err)
		}
		k.FixKustomization() // bases, of old, are resources
		return file, k, nil
	}
	return file, k, fmt.Errorf("%s holds no kustomization.yaml", dir)
}

// looksRemote is for the message only: kustomize takes as remote what is no local file.
func looksRemote(entry string) bool {
	host, _, _ := strings.Cut(entry, "/")
	return strings.Contains(entry, "://") || strings.Contains(entry, "?ref=") || strings.Contains(host, "@") || strings.Contains(host, ":") ||
		strings.Contains(strings.Trim(host, "."), ".") && strings.Contains(entry, "/")
}
