package manifests

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// Overlay is the environment's kustomization.
func (e Environment) Overlay() string { return filepath.Join(e.Dir, "kustomization.yaml") }

// kustomization is what of a kustomization.yaml is read here.
type kustomization struct {
	Namespace string   `yaml:"namespace"`
	Resources []string `yaml:"resources"`
}

func (e Environment) kustomization(file string) (k kustomization, err error) {
	content, err := e.files.Read(file)
	if err != nil {
		return k, err
	}
	if err := yaml.Unmarshal(content, &k); err != nil {
		return k, cli.Finding("%s: %w", file, err)
	}
	return k, nil
}

// Namespaces are the folders of namespaces that the environment lists, below its own: overlays/<env>/<namespace>. A flat environment
// has none.
func (e Environment) Namespaces() (folders []string, err error) {
	k, err := e.kustomization(e.Overlay())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // kustomize says it
	}
	if err != nil {
		return nil, err
	}
	for _, entry := range k.Resources {
		folder := path.Clean(entry)
		if !filepath.IsLocal(folder) {
			continue
		}
		if e.files.Exists(filepath.Join(e.Dir, folder, "kustomization.yaml")) {
			folders = append(folders, folder)
		}
	}
	return folders, nil
}

// namespace is the one that the overlay gives its objects; empty when it gives none.
func (e Environment) namespace() string {
	folders, err := e.Namespaces()
	for _, dir := range append([]string{"."}, folders...) {
		if k, readErr := e.kustomization(filepath.Join(e.Dir, dir, "kustomization.yaml")); err == nil && readErr == nil && k.Namespace != "" {
			return k.Namespace
		}
	}
	return ""
}

// OverlayFor is the kustomization that a new filter goes into: the environment's own, or that of the folder of the namespace.
func (e Environment) OverlayFor(filter, namespace string) (string, error) {
	folders, err := e.Namespaces()
	switch {
	case err != nil:
		return "", err
	case len(folders) == 0 && (namespace == "" || namespace == e.namespace()):
		return e.Overlay(), nil
	case len(folders) == 1 && namespace == "":
		namespace = folders[0]
	case namespace == "":
		return "", cli.Finding("%s: nothing says into which namespace filter %q goes. say --namespace (NAMESPACE= for make), one of %s", e.Overlay(), filter, strings.Join(folders, ", "))
	}
	if !slices.Contains(folders, namespace) {
		return "", cli.Usage("--namespace %q: %s lists no such folder. it lists: %s", namespace, e.Overlay(), cmp.Or(strings.Join(folders, ", "), "none"))
	}
	return filepath.Join(e.Dir, namespace, "kustomization.yaml"), nil
}

// WhereToAdd says what line would deploy a filter, and in which file; the folder of the namespace is the reader's to choose.
func (e Environment) WhereToAdd(filter string) (line, overlay string) {
	overlay = e.Overlay()
	if folders, err := e.Namespaces(); err == nil && len(folders) > 0 {
		overlay = filepath.Join(e.Dir, "<namespace>", "kustomization.yaml")
	}
	return "- " + e.ResourceOf(overlay, filter), overlay
}

// ResourceOf is how an overlay names the base of a filter.
func (e Environment) ResourceOf(overlay, filter string) string {
	rel, err := filepath.Rel(filepath.Dir(overlay), filepath.Join(e.Manifests, "base", filter))
	if err != nil {
		panic(err) // both are below the folder of manifests
	}
	return filepath.ToSlash(rel)
}

// WithFilter is the environment with the base of a filter among the resources of that overlay, in memory.
func (e Environment) WithFilter(overlay, filter string) (Environment, error) {
	return e.editOverlay(overlay, func(lines []string, doc *yaml.Node) ([]string, error) {
		if value(doc, "namespace") == nil {
			return nil, fmt.Errorf("nothing says into which namespace filter %q goes. add its base to the resources of a namespace's kustomization.yaml", filter)
		}
		return withResource(lines, doc, e.ResourceOf(overlay, filter))
	})
}

// WithoutFilter is the environment without the base of a filter, and without the patches in files that are only for its objects, in
// memory. It gives the files of those patches, which nothing reads any more.
func (e Environment) WithoutFilter(filter string) (next Environment, unused []string, err error) {
	next = e
	overlays, err := filepath.Glob(filepath.Join(e.Dir, "*", "kustomization.yaml"))
	if err != nil {
		return e, nil, err
	}
	for _, overlay := range append([]string{e.Overlay()}, overlays...) {
		next, err = next.editOverlay(overlay, func(lines []string, doc *yaml.Node) ([]string, error) {
			var gone []*yaml.Node
			for _, list := range []string{"resources", "patches", "patchesStrategicMerge"} {
				items := value(doc, list)
				if items == nil || items.Kind != yaml.SequenceNode {
					continue
				}
				var here []*yaml.Node
				for _, item := range items.Content {
					switch {
					case list == "resources" && isBase(e.Manifests, filepath.Dir(overlay), item.Value, filter):
						here = append(here, item)
					case list != "resources":
						if file := patchOnly(e, filepath.Dir(overlay), item, filter); file != "" {
							here = append(here, item)
							unused = append(unused, file)
						}
					}
				}
				if len(here) > 0 && items.Style == yaml.FlowStyle {
					return nil, fmt.Errorf("%s is no list of lines. take %s out by hand", list, filter)
				}
				if len(here) == len(items.Content) && len(here) > 0 {
					here = []*yaml.Node{items} // the list goes, and its key
				}
				gone = append(gone, here...)
			}
			return withoutNodes(lines, doc, gone), nil
		})
		if err != nil {
			return e, nil, err
		}
	}
	return next, unused, nil
}

// isBase reports whether an entry of resources is the base of the filter.
func isBase(manifests, dir, entry, filter string) bool {
	return filepath.Clean(filepath.Join(dir, entry)) == filepath.Join(manifests, "base", filter)
}

// patchOnly is the file of a patch all of whose objects are called as the filter; empty for another patch.
func patchOnly(e Environment, dir string, item *yaml.Node, filter string) string {
	path := item.Value
	if item.Kind == yaml.MappingNode {
		if p := value(item, "path"); p != nil && value(item, "target") == nil {
			path = p.Value
		}
	}
	if path == "" || strings.Contains(path, "\n") {
		return ""
	}
	file := filepath.Join(dir, path)
	content, err := e.files.Read(file)
	if err != nil {
		return ""
	}
	dec := yaml.NewDecoder(strings.NewReader(string(content)))
	found := false
	for {
		var doc yaml.Node
		if dec.Decode(&doc) != nil {
			break
		}
		name := value(value(doc.Content[0], "metadata"), "name")
		if name == nil || name.Value != filter {
			return ""
		}
		found = true
	}
	if !found {
		return ""
	}
	return file
}

func (e Environment) editOverlay(file string, edit func(lines []string, doc *yaml.Node) ([]string, error)) (Environment, error) {
	content, err := e.files.Read(file)
	if err != nil {
		return e, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(content, &doc); err != nil {
		return e, cli.Finding("%s: %w", file, err)
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return e, cli.Finding("%s: %w", file, errors.New("not a kustomization"))
	}
	lines, err := edit(strings.SplitAfter(string(content), "\n"), doc.Content[0])
	if err != nil {
		return e, cli.Finding("%s: %w", file, err)
	}
	return e.With(file, []byte(strings.Join(lines, "")))
}

// withoutNodes are the lines without those of the nodes, which are items of lists, or a whole list with its key.
func withoutNodes(lines []string, doc *yaml.Node, gone []*yaml.Node) []string {
	drop := map[int]bool{}
	for _, n := range gone {
		from, to := span(doc, n, len(lines))
		for i := from; i < to; i++ {
			drop[i] = true
		}
	}
	var rest []string
	for i, line := range lines {
		if !drop[i] {
			rest = append(rest, line)
		}
	}
	return rest
}

// span are the lines, counted from 0, of a node: to where the next one begins.
func span(doc, n *yaml.Node, end int) (from, to int) {
	from, to = n.Line-1, end
	for i := 0; i+1 < len(doc.Content); i += 2 {
		if doc.Content[i+1] == n {
			from = doc.Content[i].Line - 1
		}
	}
	var walk func(m *yaml.Node)
	walk = func(m *yaml.Node) {
		if m == n {
			return
		}
		if m.Line-1 > from && m.Line-1 < to {
			to = m.Line - 1
		}
		for _, child := range m.Content {
			walk(child)
		}
	}
	walk(doc)
	return from, to
}

// value is the value of a key; nil when there is none.
func value(n *yaml.Node, key string) *yaml.Node {
	if n == nil {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// WithNamespace is the environment with an overlay for the objects of a namespace, in memory, and which that is: its own, the folder of
// the namespace, or a new one.
func (e Environment) WithNamespace(namespace string) (Environment, string, error) {
	folders, err := e.Namespaces()
	if err != nil {
		return e, "", err
	}
	if own := e.namespace(); len(folders) == 0 {
		if own == namespace || namespace == "" {
			return e, e.Overlay(), nil
		}
		return e, "", cli.Finding("%s is flat, in namespace %q, and the objects are in %q. give the environment a folder for each namespace first, or choose another", e.Dir, own, namespace)
	}
	for _, folder := range folders {
		overlay := filepath.Join(e.Dir, folder, "kustomization.yaml")
		k, err := e.kustomization(overlay)
		if err != nil {
			return e, "", err
		}
		if k.Namespace == namespace {
			return e, overlay, nil
		}
	}
	overlay := filepath.Join(e.Dir, namespace, "kustomization.yaml")
	if err := os.MkdirAll(filepath.Dir(overlay), 0o755); err != nil {
		return e, "", err
	}
	next, err := e.With(overlay, []byte("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: "+namespace+"\nresources:\ncomponents:\n- ../digests\n"))
	if err != nil {
		return e, "", err
	}
	next, err = next.editOverlay(e.Overlay(), func(lines []string, doc *yaml.Node) ([]string, error) { return withResource(lines, doc, namespace) })
	return next, overlay, err
}
