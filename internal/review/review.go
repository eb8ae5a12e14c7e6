// Package review is the difference of two results for who reviews a change: text, Markdown, JSON.
package review

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// Change is what a reviewer wants to know of one environment.
type Change struct {
	Environment string   `json:"environment"`
	Objects     []Object `json:"objects"`
	Chains      []Chain  `json:"chains"`
	Images      []Image  `json:"images"`
}

// Chain is the filters of a namespace in their order. No proxy has those of two namespaces, but for the root namespace's.
type Chain struct {
	Namespace string   `json:"namespace"`
	Before    []string `json:"before"`
	After     []string `json:"after"`
}

// Object is an object that came, went or changed.
type Object struct {
	Object string  `json:"object"`
	State  string  `json:"state"` // added, removed or changed
	Fields []Field `json:"fields,omitempty"`
}

// Field is a field and its JSON before and after; empty where it is not there.
type Field struct {
	Field  string `json:"field"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Image is a pin that moved.
type Image struct {
	Filter string   `json:"filter"`
	Before string   `json:"before"`
	After  string   `json:"after"`
	Notes  []string `json:"notes"` // size, imports and exports, or why they are not known
}

// Modules says what is in the image of a pin.
type Modules interface {
	Get(ctx context.Context, ref image.Ref) ([]byte, error)
}

// Compare shows how the results differ from the rendered folders below base, of environments that went away, too. Environments that
// do not differ are left out. It writes nothing and judges nothing.
func Compare(ctx context.Context, modules Modules, base, manifestsDir string, results []*manifests.Result) ([]Change, error) {
	changes := []Change{}
	add := func(name string, after map[string][]byte) error {
		before, err := plugin.Files(filepath.Join(base, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		c, err := compare(ctx, modules, before, after)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		c.Environment = name
		if len(c.Objects) > 0 {
			changes = append(changes, c)
		}
		return nil
	}
	for _, r := range results {
		if r.Undecoded != nil {
			return nil, cli.Finding("%s: %w", r.Env.Dir, r.Undecoded)
		}
		if err := add(r.Env.Name, r.Files()); err != nil {
			return nil, err
		}
	}
	gone, err := goneEnvironments(base, manifestsDir)
	if err != nil {
		return nil, err
	}
	for _, name := range gone {
		if err := add(name, nil); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// goneEnvironments are in the base and have no overlay any more.
func goneEnvironments(base, dir string) ([]string, error) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return nil, err
	}
	var gone []string
	for _, e := range entries {
		if _, err := os.Stat(filepath.Join(dir, "overlays", e.Name())); e.IsDir() && errors.Is(err, fs.ErrNotExist) {
			gone = append(gone, e.Name())
		}
	}
	return gone, nil
}

func compare(ctx context.Context, modules Modules, before, after map[string][]byte) (Change, error) {
	var c Change
	old, err := objects(before)
	if err != nil {
		return c, err
	}
	current, err := objects(after)
	if err != nil {
		return c, err
	}
	names := maps.Clone(old)
	maps.Copy(names, current)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, is := old[name], current[name]
		switch {
		case was == nil:
			c.Objects = append(c.Objects, Object{Object: name, State: "added"})
		case is == nil:
			c.Objects = append(c.Objects, Object{Object: name, State: "removed"})
		default:
			if fields := fieldDiffs(was, is); len(fields) > 0 {
				c.Objects = append(c.Objects, Object{name, "changed", fields})
			}
		}
	}
	chainsBefore, pinsBefore, err := chains(before)
	if err != nil {
		return c, err
	}
	chainsAfter, pinsAfter, err := chains(after)
	if err != nil {
		return c, err
	}
	namespaces := maps.Clone(chainsBefore)
	maps.Copy(namespaces, chainsAfter)
	for _, namespace := range slices.Sorted(maps.Keys(namespaces)) {
		c.Chains = append(c.Chains, Chain{namespace, chainsBefore[namespace], chainsAfter[namespace]})
	}
	for _, filter := range slices.Sorted(maps.Keys(pinsAfter)) {
		if was, ok := pinsBefore[filter]; ok && was != pinsAfter[filter] {
			c.Images = append(c.Images, Image{filter, was, pinsAfter[filter], compareModules(ctx, modules, was, pinsAfter[filter])})
		}
	}
	return c, nil
}

// objects are the objects of the files, by name, each as its fields with their JSON.
func objects(files map[string][]byte) (map[string]map[string]string, error) {
	all := map[string]map[string]string{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if err := addObject(all, files[file]); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return all, nil
}

// addObject puts an object's fields, each with its JSON, under its name.
func addObject(to map[string]map[string]string, content []byte) error {
	var object map[string]any
	if err := yaml.Unmarshal(content, &object); err != nil {
		return err
	}
	metadata, _ := object["metadata"].(map[string]any)
	name, namespace := fmt.Sprint(metadata["name"]), ""
	if ns, ok := metadata["namespace"].(string); ok {
		namespace = ns + "/"
	}
	fields := map[string]string{}
	flatten("", object, fields)
	to[fmt.Sprintf("%s %s%s", object["kind"], namespace, name)] = fields
	return nil
}

func flatten(path string, v any, to map[string]string) {
	if m, ok := v.(map[string]any); ok && len(m) > 0 {
		for key, child := range m {
			flatten(strings.TrimPrefix(path+"."+key, "."), child, to)
		}
		return
	}
	text, err := json.Marshal(v)
	if err != nil {
		text = []byte(err.Error())
	}
	to[path] = string(text)
}

func fieldDiffs(was, is map[string]string) []Field {
	names := maps.Clone(was)
	maps.Copy(names, is)
	var diffs []Field
	for _, field := range slices.Sorted(maps.Keys(names)) {
		if was[field] != is[field] {
			diffs = append(diffs, Field{field, was[field], is[field]})
		}
	}
	return diffs
}

// chains are the filters in their order, by namespace, and the images by the objects that run them.
func chains(files map[string][]byte) (byNamespace map[string][]string, pins map[string]string, err error) {
	plugins, err := plugin.Plugins(files)
	if err != nil {
		return nil, nil, err
	}
	byNamespace, pins = map[string][]string{}, map[string]string{}
	for _, p := range plugins {
		byNamespace[p.Namespace] = append(byNamespace[p.Namespace], fmt.Sprintf("%s (%s %d)", p.Name, p.PhaseName(), p.Spec.Priority.GetValue()))
	}
	for _, p := range plugins {
		name := p.Name
		if len(byNamespace) > 1 {
			name = p.Namespace + "/" + name
		}
		pins[name] = strings.TrimPrefix(p.Spec.Url, "oci://")
	}
	return byNamespace, pins, nil
}

// of says whose chain it is where there are several.
func (c Change) of(chain Chain) string {
	if len(c.Chains) < 2 {
		return ""
	}
	return " of " + chain.Namespace
}

// compareModules says what the new module is beside the old one. Both must be had from the registry, or from build/.
func compareModules(ctx context.Context, modules Modules, before, after string) []string {
	was, err := readModule(ctx, modules, before)
	if err != nil {
		return []string{"the module before is not known"}
	}
	is, err := readModule(ctx, modules, after)
	if err != nil {
		return []string{"the module after is not known"}
	}
	notes := []string{fmt.Sprintf("size %d → %d bytes (%+d)", was.Size, is.Size, is.Size-was.Size)}
	imports := func(m *wasmfile.Module) (names []string) {
		for _, i := range m.Imports {
			names = append(names, i.Module+"."+i.Name)
		}
		return names
	}
	notes = append(notes, listDiff("imports", imports(was), imports(is))...)
	return append(notes, listDiff("exports", was.Exports, is.Exports)...)
}

func readModule(ctx context.Context, modules Modules, url string) (*wasmfile.Module, error) {
	ref, err := image.ParseRef(url)
	if err != nil {
		return nil, err
	}
	module, err := modules.Get(ctx, ref)
	if err != nil {
		return nil, err
	}
	return wasmfile.Read(module)
}

func listDiff(what string, was, is []string) []string {
	var parts []string
	for _, name := range is {
		if !slices.Contains(was, name) {
			parts = append(parts, "+"+name)
		}
	}
	for _, name := range was {
		if !slices.Contains(is, name) {
			parts = append(parts, "-"+name)
		}
	}
	if len(parts) == 0 {
		return nil
	}
	return []string{what + " " + strings.Join(parts, " ")}
}

// Text is for a terminal.
func Text(w io.Writer, changes []Change) {
	for _, c := range changes {
		fmt.Fprintln(w, c.Environment)
		for _, o := range c.Objects {
			fmt.Fprintf(w, "  %-7s %s\n", o.State, o.Object)
			for _, f := range o.Fields {
				fmt.Fprintf(w, "            %s: %s → %s\n", f.Field, orNothing(f.Before), orNothing(f.After))
			}
		}
		for _, i := range c.Images {
			fmt.Fprintf(w, "  image   %s: %s → %s\n", i.Filter, i.Before, i.After)
			for _, n := range i.Notes {
				fmt.Fprintf(w, "            %s\n", n)
			}
		}
		for _, chain := range c.Chains {
			if !slices.Equal(chain.Before, chain.After) {
				fmt.Fprintf(w, "  chain%s   before: %s\n", c.of(chain), strings.Join(chain.Before, " → "))
				fmt.Fprintf(w, "          after:  %s\n", strings.Join(chain.After, " → "))
			}
		}
	}
	if len(changes) == 0 {
		fmt.Fprintln(w, "nothing changes")
	}
}

func orNothing(s string) string {
	if s == "" {
		return "(nothing)"
	}
	return s
}

// Markdown is for the description of a pull request: GitHub draws the Mermaid pictures. Code spans keep values from being read as
// markup.
func Markdown(w io.Writer, changes []Change) {
	if len(changes) == 0 {
		fmt.Fprintln(w, "The rendered manifests do not change.")
		return
	}
	code := func(s string) string {
		if s == "" {
			return ""
		}
		return "`" + strings.NewReplacer("`", "'", "|", `\|`, "\n", " ").Replace(s) + "`"
	}
	for _, c := range changes {
		fmt.Fprintf(w, "### %s\n\n| object | field | before | after |\n|---|---|---|---|\n", c.Environment)
		for _, o := range c.Objects {
			if len(o.Fields) == 0 {
				fmt.Fprintf(w, "| %s | %s | | |\n", code(o.Object), o.State)
			}
			for _, f := range o.Fields {
				fmt.Fprintf(w, "| %s | %s | %s | %s |\n", code(o.Object), code(f.Field), code(f.Before), code(f.After))
			}
		}
		for _, i := range c.Images {
			fmt.Fprintf(w, "\nImage of %s:\n", code(i.Filter))
			for _, n := range i.Notes {
				fmt.Fprintf(w, "- %s\n", code(n))
			}
		}
		fmt.Fprint(w, "\n```mermaid\nflowchart LR\n")
		for i, chain := range c.Chains {
			id := ""
			if i > 0 {
				id = fmt.Sprint(i + 1)
			}
			switch whose := c.of(chain); {
			case !slices.Equal(chain.Before, chain.After):
				mermaid(w, "before"+id, "before"+whose, chain.Before)
				mermaid(w, "after"+id, "after"+whose, chain.After)
			case len(c.Chains) == 1:
				mermaid(w, "chain", "the filter chain, unchanged", chain.After)
			}
		}
		fmt.Fprint(w, "```\n\n")
	}
}

func mermaid(w io.Writer, id, title string, chain []string) {
	fmt.Fprintf(w, "  subgraph %s[\"%s\"]\n    direction LR\n    %[1]s0([request])", id, title)
	for i, name := range chain {
		fmt.Fprintf(w, " --> %s%d[\"%s\"]", id, i+1, strings.ReplaceAll(name, `"`, "'"))
	}
	fmt.Fprintf(w, " --> %s%d([router])\n  end\n", id, len(chain)+1)
}
