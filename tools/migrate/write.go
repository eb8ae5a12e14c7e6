package migrate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"google.golang.org/protobuf/encoding/protojson"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/attest"
	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/lint"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/registry"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"

	extensions "istio.io/api/extensions/v1alpha1"
)

// resolveTag asks the registry for the digest of a tag.
func (p *plan) resolveTag(code string) (image.Ref, error) {
	var naming []name.Option
	if p.plainHTTP {
		naming = append(naming, name.Insecure)
	}
	tag, err := name.NewTag(strings.TrimPrefix(code, "oci://"), naming...)
	if err != nil {
		return image.Ref{}, cli.Finding("%w", err)
	}
	desc, err := remote.Head(tag, remote.WithContext(p.ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("wasmfleet-migrate"))
	if err != nil {
		return image.Ref{}, fmt.Errorf("asking for %s: %w", tag, registry.Explain(tag.RegistryStr(), err))
	}
	return image.ParseRef(fmt.Sprintf("%s:%s@%s", strings.TrimSuffix(tag.Repository.Name(), ":"), tag.TagStr(), desc.Digest))
}

// write puts all of it into a copy of the manifests, renders that, and copies what changed when there is no finding.
func (p *plan) write(stderr io.Writer) (changed []string, err error) {
	if _, err := manifests.Load(p.dir, p.to); err != nil {
		return nil, err
	}
	unlock, err := manifests.Lock(p.ctx, p.dir, p.wait, stderr)
	if err != nil {
		return nil, err
	}
	defer unlock()
	scratch, err := os.MkdirTemp("", "migrate-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	dir := filepath.Join(scratch, "manifests")
	if err := os.CopyFS(dir, os.DirFS(p.dir)); err != nil {
		return nil, err
	}
	var images []image.Ref
	for _, m := range p.found {
		if m.ref != (image.Ref{}) {
			images = append(images, m.ref)
		}
	}
	if err := attest.Require(p.ctx, p.dir, p.to, images, p.plainHTTP); err != nil {
		return nil, err
	}
	filters := filepath.Join(scratch, "filters")
	if err := p.takeModules(filters); err != nil {
		return nil, err
	}
	env, err := p.apply(dir)
	if err != nil {
		return nil, err
	}
	if err := env.Save(); err != nil {
		return nil, err
	}
	results, findings, err := lint.BuildFor("migrate", []manifests.Environment{env}, p.filters, stderr)
	if err != nil {
		return nil, fmt.Errorf("%s. nothing was written", strings.ReplaceAll(err.Error(), dir, p.dir))
	}
	for _, f := range findings {
		fmt.Fprintln(stderr, strings.ReplaceAll(f.String(), dir, p.dir))
	}
	if lint.Failing(findings) {
		return nil, cli.Finding("%s would have findings. change the objects, or allow the findings in its environment.yaml; nothing was written", p.to)
	}
	p.compare(results[0])
	if err := results[0].Write(); err != nil {
		return nil, err
	}
	for from, to := range map[string]string{dir: p.dir, filters: p.filters} {
		files, err := p.copyChanged(from, to)
		if err != nil {
			return nil, err
		}
		changed = append(changed, files...)
	}
	slices.Sort(changed)
	return changed, nil
}

// copyChanged brings the files that are new or other in one folder to another.
func (p *plan) copyChanged(from, to string) (changed []string, err error) {
	err = filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || err == nil && e.IsDir() {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		at := filepath.Join(to, rel)
		if old, err := os.ReadFile(at); err == nil && bytes.Equal(old, content) {
			return nil
		}
		changed = append(changed, at)
		if p.dryRun {
			return nil
		}
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			return err
		}
		return atomicfile.Write(at, content)
	})
	return changed, err
}

// takeModules makes filters of the modules that were given.
func (p *plan) takeModules(filters string) error {
	for _, filter := range slices.Sorted(maps.Keys(p.modules)) {
		file := p.modules[filter]
		i := slices.IndexFunc(p.found, func(m *migrated) bool { return m.filter == filter })
		if i < 0 {
			return cli.Usage("--module %s: no object has that filter. filters: %s", filter, strings.Join(p.filterNames(), ", "))
		}
		if _, err := os.Stat(filepath.Join(p.filters, filter)); err == nil {
			return cli.Finding("%s is there already. leave --module out and give its image", filepath.Join(p.filters, filter))
		}
		module, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		m, err := wasmfile.Read(module)
		if err != nil {
			return cli.Finding("%s: %w", file, err)
		}
		if m.ABI == "" {
			return cli.Finding("%s exports no proxy_abi_version of 0.1.0 to 0.2.1: it is of a version of the ABI before 0.1.0 (wasme's v0-…), which no Envoy of a supported Istio loads. build it anew with a current SDK", file)
		}
		if findings := wasmfile.Lint(m); len(findings) > 0 {
			return cli.Finding("%s: %s", file, strings.Join(findings, "; "))
		}
		text := fmt.Sprintf("name: %s\ntitle: %[1]s\ndescription: Taken from %s by wasmfleet migrate.\nphases: [%s]\n", filter, p.found[i].origin, p.found[i].spec.Phase)
		folder := filepath.Join(filters, filter)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		for name, content := range map[string][]byte{catalog.File: []byte(text), catalog.Prebuilt: module} {
			if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
				return err
			}
		}
		p.notes = append(p.notes, fmt.Sprintf("filters/%s holds the module. write an example for it (docs/examples.md), then: make publish FILTER=%[1]s, and make promote TO=%s, which adds it to the overlay", filter, p.to))
	}
	return nil
}

func (p *plan) filterNames() (names []string) {
	for _, m := range p.found {
		names = append(names, m.filter)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// apply writes bases and overlays into the copy, and gives the environment with its pins.
func (p *plan) apply(dir string) (manifests.Environment, error) {
	env, err := manifests.Load(dir, p.to)
	if err != nil {
		return env, err
	}
	pins := manifests.Pins{}
	for _, m := range p.found {
		base := filepath.Join(dir, "base", m.name)
		if _, err := os.Stat(base); err == nil {
			return env, cli.Finding("%s: %s: %s is there already. rename the object, or migrate it by hand", m.place, m.origin, filepath.Join(p.dir, "base", m.name))
		}
		text, err := m.base()
		if err != nil {
			return env, err
		}
		if err := os.MkdirAll(base, 0o755); err != nil {
			return env, err
		}
		for file, content := range map[string]string{"kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n- wasmplugin.yaml\n", "wasmplugin.yaml": text} {
			if err := os.WriteFile(filepath.Join(base, file), []byte(content), 0o644); err != nil {
				return env, err
			}
		}
		if m.ref == (image.Ref{}) {
			continue // a module of ours: its first promotion adds it
		}
		if other, ok := pins[m.filter]; ok && other != m.ref {
			return env, cli.Finding("%s: %s runs %s, and another object of this environment %s. migrate one of them, then move it to a folder with pins of its own", m.place, m.origin, m.ref, other)
		}
		pins[m.filter] = m.ref
		var overlay string
		if env, overlay, err = env.WithNamespace(m.namespace); err != nil {
			return env, err
		}
		if env, err = env.WithFilter(overlay, m.name); err != nil {
			return env, err
		}
	}
	before, err := env.Pins()
	if err != nil {
		return env, err
	}
	for filter, ref := range pins {
		if old, ok := before[filter]; ok && old != ref {
			return env, cli.Finding("%s pins %s, and the objects run %s. promote it first, or give the objects' namespace pins of its own", env.PinsFile(), old, ref)
		}
	}
	return env.WithPins(pins)
}

// base is the WasmPlugin with everything written out.
func (m *migrated) base() (string, error) {
	spec, err := fields(m.spec)
	if err != nil {
		return "", err
	}
	spec["url"] = manifests.Scheme + m.filter
	spec["phase"] = m.spec.Phase.String()
	spec["failStrategy"] = m.spec.FailStrategy.String()
	spec["imagePullPolicy"] = m.spec.ImagePullPolicy.String()
	spec["priority"] = m.spec.Priority.GetValue()
	object := map[string]any{"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "metadata": map[string]any{"name": m.name}, "spec": spec}
	text, err := yaml.Marshal(object)
	return fmt.Sprintf("# Was %s (%s).\n%s", m.origin, filepath.Base(m.place), text), err
}

// fields are those of a spec, as its JSON has them.
func fields(spec *extensions.WasmPlugin) (map[string]any, error) {
	data, err := protojson.Marshal(spec)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	return m, utiljson.Unmarshal(data, &m)
}

// compare notes how what is rendered differs from a plugin that was there.
func (p *plan) compare(r *manifests.Result) {
	for _, m := range p.found {
		for _, now := range r.Plugins {
			if m.was == nil || now.Name != m.name || now.Namespace != m.namespace {
				continue
			}
			was, err := fields(m.was)
			is, err2 := fields(&now.Spec)
			if err = errors.Join(err, err2); err != nil {
				m.note("could not be compared: %v", err)
				continue
			}
			same := true
			for _, field := range slices.Sorted(maps.Keys(union(was, is))) {
				if a, b := text(was[field]), text(is[field]); a != b && field != "sha256" {
					same = false
					m.note("%s: %s -> %s", field, a, b)
				}
			}
			if same {
				m.note("what is rendered says the same")
			}
		}
	}
}

func union(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

func text(v any) string {
	if v == nil {
		return "not written"
	}
	data, err := utiljson.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
