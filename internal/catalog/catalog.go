// Package catalog loads the filters of a repository: one folder each, described by its plugin.yaml.
package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// Dir is where a repository has its filters.
const Dir = "filters"

// File is the file that makes a folder a filter.
const File = "plugin.yaml"

// Filter is what plugin.yaml says: what is true of the code. How it is deployed stands in manifests/base/<name>/.
type Filter struct {
	Dir           string    `yaml:"-"`             // the folder
	Name          string    `yaml:"name"`          // the folder, the image and the Istio object are named so: lower case, dashes inside
	Title         string    `yaml:"title"`         // one line
	Description   string    `yaml:"description"`   // a sentence or two
	Licenses      string    `yaml:"licenses"`      // an SPDX expression
	Source        string    `yaml:"source"`        // optional: URL of the source
	Documentation string    `yaml:"documentation"` // optional: URL of the documentation
	Phases        []string  `yaml:"phases"`        // the WasmPlugin phases it may run in
	Istio         string    `yaml:"istio"`         // the Istio minors it is built for, such as ">=1.28"
	Callouts      []Callout `yaml:"callouts"`      // the services it calls
	Size          string    `yaml:"size"`          // optional: what the module may weigh at most, such as 120kB
	Forbid        []string  `yaml:"forbid"`        // optional: Go packages of which nothing may get into the module, such as fmt
	StopIteration string    `yaml:"stopIteration"` // optional: headers, when the filter holds a request's headers until its body has come
	Optional      bool      `yaml:"optional"`      // its first publish deploys it nowhere: somebody names it to promote first
	Capabilities  []string  `yaml:"-"`             // the host calls and callbacks that the module uses; module.yaml has them
}

// Prebuilt is a module that stands in a filter's folder in place of Go sources, from whatever language.
const Prebuilt = "module.wasm"

// ModuleFile is written by make build beside plugin.yaml. It may be missing, before a filter's first build.
const ModuleFile = "module.yaml"

// Module is what is true of the module that a filter's sources build. Nobody types it.
type Module struct {
	ABI          string   `yaml:"abi"`          // of proxy-wasm, such as 0.2.0
	Capabilities []string `yaml:"capabilities"` // the host calls and callbacks that it uses, sorted
	Packages     []string `yaml:"packages"`     // what is compiled in beside Go's standard library, each with its version
}

// Callout is a service that the filter calls.
type Callout struct {
	Upstream string `yaml:"upstream"` // JSON pointer into pluginConfig to an object with host, port and an optional cluster
	Purpose  string `yaml:"purpose"`  // what it answers: token
}

// Phases are those of the WasmPlugin API, in the order of the filter chain.
var Phases = []string{"AUTHN", "AUTHZ", "STATS", "UNSPECIFIED_PHASE"}

// Purposes are what a callout may be for; each has a stand-in service in local runs.
var Purposes = []string{"token"}

var (
	nameSyntax  = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)
	istioSyntax = regexp.MustCompile(`^>=1\.[0-9]{1,3}$`)
	sizeSyntax  = regexp.MustCompile(`^[1-9][0-9]{0,5}kB$`)
)

// ValidName reports whether a filter, and its folder, image and object, may have that name.
func ValidName(name string) bool { return nameSyntax.MatchString(name) }

// Load reads every filter below dir, sorted by name; what is wrong in a plugin.yaml is a finding. Folders without a plugin.yaml (such as internal) are not filters.
func Load(dir string) ([]Filter, error) {
	// A repository may have none; a folder that somebody names is there.
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && dir != Dir {
		return nil, cli.Usage("no folder of filters at %s, so rules that read their plugin.yaml would see nothing. give it with --filters", dir)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", File))
	if err != nil {
		return nil, err
	}
	var filters []Filter
	for _, file := range files {
		f, err := Read(file)
		if err != nil {
			return nil, err
		}
		if folder := filepath.Base(filepath.Dir(file)); f.Name != folder {
			return nil, cli.Finding("%s: name %q is not the folder's name %q. a filter's folder, image and object share one name", file, f.Name, folder)
		}
		filters = append(filters, f)
	}
	return filters, nil
}

// Find reads the filter name below dir. A name that is none is an error of usage, and lists the known ones.
func Find(dir, name string) (Filter, error) {
	f, err := Read(filepath.Join(dir, name, File))
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	var known []string
	if all, err := Load(dir); err == nil {
		for _, f := range all {
			known = append(known, f.Name)
		}
	}
	if len(known) == 0 {
		return f, cli.Usage("unknown filter %q: no filter in %s has a %s. run this from the repository's root", name, dir, File)
	}
	return f, cli.Usage("unknown filter %q. filters in %s: %s", name, dir, strings.Join(known, ", "))
}

// Read reads one plugin.yaml. What is wrong in it, also an unknown key, is a finding.
func Read(file string) (Filter, error) {
	var f Filter
	data, err := os.ReadFile(file)
	if err != nil {
		return f, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		if strings.Contains(err.Error(), "field capabilities not found") {
			err = fmt.Errorf("%w. %s holds them now, and make build writes it: remove the field", err, ModuleFile)
		}
		return f, cli.Finding("%s: %w", file, err)
	}
	f.Dir = filepath.Dir(file)
	if err := f.check(); err != nil {
		return f, cli.Finding("%s: %w", file, err)
	}
	m, err := ReadModule(f.Dir)
	f.Capabilities = m.Capabilities
	return f, err
}

// ReadModule reads the module.yaml in a filter's folder; nothing when there is none.
func ReadModule(dir string) (Module, error) {
	var m Module
	file := filepath.Join(dir, ModuleFile)
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&m); err != nil {
		return m, cli.Finding("%s: %w. \"make build\" writes it", file, err)
	}
	return m, nil
}

// Limit is the bound of size in bytes; 0 when there is none.
func (f Filter) Limit() int {
	n, _ := strconv.Atoi(strings.TrimSuffix(f.Size, "kB"))
	return n * 1000
}

func (f Filter) check() error {
	switch {
	case !ValidName(f.Name):
		return fmt.Errorf("name %q: want lower-case letters, digits and, inside, dashes, at most 63", f.Name)
	case f.Title == "" || f.Description == "":
		return errors.New("title and description are required: registries show them")
	case len(f.Phases) == 0:
		return fmt.Errorf("phases: want at least one of %s", strings.Join(Phases, ", "))
	case f.Size != "" && !sizeSyntax.MatchString(f.Size):
		return fmt.Errorf("size %q: want a bound in thousands of bytes, such as 120kB", f.Size)
	case f.StopIteration != "" && f.StopIteration != "headers":
		return fmt.Errorf("stopIteration %q: want headers, or leave it out", f.StopIteration)
	case f.Istio != "" && !istioSyntax.MatchString(f.Istio):
		return fmt.Errorf(`istio %q: want a lower bound such as ">=1.28"`, f.Istio)
	}
	for _, p := range f.Phases {
		if !slices.Contains(Phases, p) {
			return fmt.Errorf("phase %q: want one of %s", p, strings.Join(Phases, ", "))
		}
	}
	for _, c := range f.Callouts {
		if !strings.HasPrefix(c.Upstream, "/") {
			return fmt.Errorf("callout upstream %q: want a JSON pointer into pluginConfig, such as /upstream", c.Upstream)
		}
		if !slices.Contains(Purposes, c.Purpose) {
			return fmt.Errorf("callout purpose %q: want one of %s", c.Purpose, strings.Join(Purposes, ", "))
		}
	}
	return nil
}
