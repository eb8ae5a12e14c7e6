// Package manifests is the folder of manifests: its environments, the images that they pin, what they are rendered to, and the only
// writers of pins and of rendered files.
package manifests

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/kustomize"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/selection"
	"go.yaml.in/yaml/v3"
)

// File is the file that makes an overlay an environment.
const File = "environment.yaml"

// None as an upstream says that published images enter here.
const None = "none"

// Environment is what environment.yaml says.
type Environment struct {
	Name      string `yaml:"-"`        // the overlay's folder
	Manifests string `yaml:"-"`        // the folder that holds overlays and rendered
	Dir       string `yaml:"-"`        // manifests/overlays/<name>
	Upstream  string `yaml:"upstream"` // the environment that pins come from, or none
	Istio     string `yaml:"istio"`    // the minor that runs there, such as "1.29"
	API       string `yaml:"api"`      // the kind of object to render; WasmPlugin when absent
	Registry  string `yaml:"registry"` // optional: host/path of a mirror; pins keep their digest and take this place
	// Capabilities is minimal when a filter may only make the calls that its plugin.yaml lists. Only an EnvoyFilter can say so, and
	// one always does.
	Capabilities string `yaml:"capabilities"`
	// RootNamespace is the mesh's; istio-system when absent.
	RootNamespace string `yaml:"rootNamespace"`
	// Waypoints are the Gateways that are waypoints, as namespace/name. When the field is there, [] too, any other Gateway is a gateway;
	// when it is absent, nobody has said.
	Waypoints []string `yaml:"waypoints"`
	// Allow lets findings of a rule pass, each with a reason. They are still shown.
	Allow Allowances `yaml:"allow"`

	files   kustomize.Files // the disk, with the pins that are not saved yet
	unsaved []unsaved
}

// Minimal as capabilities restricts a filter to what its plugin.yaml lists.
const Minimal = "minimal"

// Selection is what of the environment decides who gets a plugin.
func (e Environment) Selection() selection.Environment {
	return selection.Environment{RootNamespace: cmp.Or(e.RootNamespace, "istio-system"), Waypoints: e.Waypoints, Said: e.Waypoints != nil}
}

var (
	nameSyntax     = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)
	registrySyntax = regexp.MustCompile(`^[a-z0-9]+([.-][a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$`)
)

var waypointSyntax = regexp.MustCompile(`^[a-z0-9-]+/[a-z0-9.-]+$`)

var istioSyntax = regexp.MustCompile(`^1\.[0-9]{1,3}$`)

// Load reads the environment name below manifests/overlays. A name that is none is an error of usage, and lists the known ones; what
// is wrong in its file is a finding.
func Load(manifests, name string) (Environment, error) {
	e := Environment{Name: name, Manifests: manifests, Dir: filepath.Join(manifests, "overlays", name), API: plugin.APIs[0].Kind, files: kustomize.OnDisk()}
	file := filepath.Join(e.Dir, File)
	data, err := os.ReadFile(file)
	if name == "" || name != filepath.Base(name) || errors.Is(err, fs.ErrNotExist) {
		known, _ := names(manifests)
		return e, cli.Usage("unknown environment %q: no %s. environments: %s", name, file, strings.Join(known, ", "))
	}
	if err != nil {
		return e, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&e); err != nil {
		return e, cli.Finding("%s: %w", file, err)
	}
	return e, e.check(file)
}

func (e Environment) check(file string) error {
	switch {
	case !nameSyntax.MatchString(e.Name):
		return cli.Finding("%s: environment %q: Argo CD's Application is called so, and wants lower-case letters, digits and dashes, at most 40. rename the folder", file, e.Name)
	case e.Registry != "" && !registrySyntax.MatchString(e.Registry):
		return cli.Finding("%s: registry %q: want host/path in lower case, without scheme and without a slash at the end", file, e.Registry)
	case e.Upstream == "":
		return cli.Finding("%s: upstream is missing. want the environment that pins come from, or none", file)
	case e.Upstream == e.Name:
		return cli.Finding("%s: upstream %q is the environment itself", file, e.Name)
	case !istioSyntax.MatchString(e.Istio):
		return cli.Finding(`%s: istio %q: want a quoted minor such as "1.29"`, file, e.Istio)
	case slices.ContainsFunc(e.Waypoints, func(w string) bool { return !waypointSyntax.MatchString(w) }):
		return cli.Finding("%s: waypoints: want namespace/name of each Gateway that is a waypoint", file)
	case slices.ContainsFunc(e.Allow, func(a Allowance) bool { return a.Rule == "" || a.Reason == "" }):
		return cli.Finding("%s: allow: want a rule and a reason for each entry", file)
	case e.Capabilities != "" && e.Capabilities != Minimal:
		return cli.Finding("%s: capabilities %q: want %s, or leave it out", file, e.Capabilities, Minimal)
	case plugin.APIOf(e.API) == nil:
		return cli.Finding("%s: api %q: want one of %s", file, e.API, strings.Join(plugin.Kinds(), ", "))
	}
	return nil
}

// LoadAll loads the environments of these names, or every environment when there are none.
func LoadAll(manifests string, names []string) ([]Environment, error) {
	if len(names) == 0 {
		return All(manifests)
	}
	envs := make([]Environment, len(names))
	for i, name := range names {
		var err error
		if envs[i], err = Load(manifests, name); err != nil {
			return nil, err
		}
	}
	return envs, nil
}

// Entry reports whether published images enter here: the environment has no upstream.
func (e Environment) Entry() bool { return e.Upstream == None }

// All loads every environment, upstreams before those that follow them.
func All(manifests string) ([]Environment, error) {
	names, err := names(manifests)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, cli.Finding("no environment in %s. an environment is a folder with an %s", filepath.Join(manifests, "overlays"), File)
	}
	loaded := map[string]Environment{}
	for _, name := range names {
		e, err := Load(manifests, name)
		if err != nil {
			return nil, err
		}
		loaded[name] = e
	}
	var sorted []Environment
	placed := map[string]bool{None: true}
	for len(sorted) < len(names) {
		before := len(sorted)
		for _, name := range names {
			if e := loaded[name]; !placed[name] && placed[e.Upstream] {
				placed[name] = true
				sorted = append(sorted, e)
			}
		}
		if len(sorted) == before {
			for _, name := range names {
				if e := loaded[name]; !placed[name] {
					return nil, cli.Finding("%s: upstream %q is no environment, or the upstreams form a circle", filepath.Join(e.Dir, File), e.Upstream)
				}
			}
		}
	}
	return sorted, nil
}

func names(manifests string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(manifests, "overlays", "*", File))
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = filepath.Base(filepath.Dir(f))
	}
	return names, err
}

// Rendered is the folder that Argo CD syncs for this environment.
func (e Environment) Rendered() string {
	return filepath.Join(e.Manifests, "rendered", e.Name)
}

// PinsFile is the kustomize component that holds the digests.
func (e Environment) PinsFile() string { return filepath.Join(e.Dir, "digests", "kustomization.yaml") }
