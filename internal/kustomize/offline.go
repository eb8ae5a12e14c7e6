package kustomize

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
)

// Rendering is offline: kustomize would clone a remote base with git and fetch a remote file over HTTP. readSource finds the
// first, and everything that leaves the tree, before kustomize runs; kustomize's HTTP client goes through http.DefaultTransport, which
// refuses the second while kustomize runs.
var running atomic.Int32

func init() {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return // somebody else's: the test of offline.txtar is for this one
	}
	proxy := t.Proxy
	t.Proxy = func(r *http.Request) (*url.URL, error) { // it is asked about every request
		if running.Load() > 0 {
			return nil, fmt.Errorf("%s is remote, and render is offline. copy the file into the tree", r.URL)
		}
		return proxy(r)
	}
}

func goOffline() (again func()) {
	running.Add(1)
	return func() { running.Add(-1) }
}

// readSource walks the kustomizations that dir includes, and reads what they read. Each entry must be a file or folder below root,
// the folder of the manifests, also when symbolic links are followed.
func readSource(files Files, root, dir string) (*Source, error) {
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, err
	}
	w := walker{files: files, root: root, real: real, top: dir, known: map[string]kustomization{}, source: &Source{}}
	w.source.written, err = w.walk(dir, nil)
	return w.source, err
}

type walker struct {
	files      Files
	root, real string // real is root without symbolic links
	top        string // the overlay
	known      map[string]kustomization
	source     *Source
}

// walk gives the objects of a kustomization; a component is given those that it changes and adds to.
func (w walker) walk(dir string, objects []*written) ([]*written, error) {
	k, known := w.known[dir]
	if !known {
		var err error
		if k, err = w.readKustomization(dir); err != nil {
			return nil, err
		}
		if len(k.HelmCharts)+len(k.HelmChartInflationGenerator) > 0 || k.HelmGlobals != nil {
			return nil, fmt.Errorf("%s: helm charts are not rendered: helm is a program that this would run. commit what it makes as a base", k.file)
		}
		w.known[dir] = k
	}
	for i, entry := range k.Resources {
		added, err := w.include(k, entry, nil)
		if err != nil {
			return nil, err
		}
		if dir == w.top {
			for _, o := range added {
				o.entry = i
			}
		}
		objects = append(objects, added...)
	}
	for _, entry := range k.Components {
		var err error
		if objects, err = w.include(k, entry, objects); err != nil {
			return nil, err
		}
	}
	for _, entry := range slices.Concat(k.Generators, k.Transformers, k.Validators) {
		if _, err := w.include(k, entry, nil); err != nil {
			return nil, err
		}
	}
	if err := k.addPatches(objects, func(path string) ([]*yaml.Node, error) { return w.load(k, path) }); err != nil {
		return nil, err
	}
	k.transform(objects)
	if !known {
		w.source.kustomizations = append(w.source.kustomizations, k)
	}
	return objects, nil
}

// include reads an entry of a kustomization, a file or a folder.
func (w walker) include(k kustomization, entry string, objects []*written) ([]*written, error) {
	if strings.Contains(entry, "\n") {
		return objects, nil // written in place
	}
	path := filepath.Join(k.dir, entry)
	if err := w.inside(k.file, entry, path); err != nil {
		return nil, err
	}
	if !w.files.has(path) {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.file, err)
		}
		if info.IsDir() {
			return w.walk(path, objects)
		}
	}
	documents, err := w.load(k, entry)
	return append(objects, objectsIn(path, documents)...), err
}

// inside refuses what is remote or leaves the root.
func (w walker) inside(file, entry, path string) error {
	real, err := w.files.real(path)
	if errors.Is(err, fs.ErrNotExist) && looksRemote(entry) {
		return fmt.Errorf("%s: %q is remote, and render is offline. copy it into the tree", file, entry)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if rel, err := filepath.Rel(w.real, real); err != nil || !filepath.IsLocal(rel) {
		return fmt.Errorf("%s: %q leaves %s. what is rendered must be in there", file, entry, w.root)
	}
	return nil
}

// load reads a file that the kustomization names.
func (w walker) load(k kustomization, entry string) ([]*yaml.Node, error) {
	path := filepath.Join(k.dir, entry)
	if err := w.inside(k.file, entry, path); err != nil {
		return nil, err
	}
	_, documents, err := readYAML(w.files, path)
	return documents, err
}

func (w walker) readKustomization(dir string) (k kustomization, err error) {
	k.dir = dir
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		k.file = filepath.Join(dir, name)
		var documents []*yaml.Node
		k.content, documents, err = readYAML(w.files, k.file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return k, err
		}
		if err := k.Unmarshal(k.content); err != nil {
			return k, fmt.Errorf("%s: %w", k.file, err)
		}
		k.FixKustomization() // bases, of old, are resources
		k.images = imagesIn(k.file, documents)
		return k, nil
	}
	return k, fmt.Errorf("%s holds no kustomization.yaml", dir)
}

// looksRemote is for the message only: kustomize takes as remote what is no local file.
func looksRemote(entry string) bool {
	host, _, _ := strings.Cut(entry, "/")
	return strings.Contains(entry, "://") || strings.Contains(entry, "?ref=") || strings.Contains(host, "@") || strings.Contains(host, ":") ||
		strings.Contains(strings.Trim(host, "."), ".") && strings.Contains(entry, "/")
}
