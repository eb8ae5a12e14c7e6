// Package initverb is the verb init, which makes a clone of this repository somebody's own: it puts their registry and their
// repository wherever those of the original stand.
package initverb

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/lint"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// Command is the verb.
func Command() cli.Command {
	var root, owner string
	var wait time.Duration
	var to identity
	return cli.Command{
		Name:  "init",
		Title: "a fork's own registry and repository, everywhere",
		About: `Puts the registry and the repository of a fork into Fork.mk, into the pins of every environment and into manifests/argocd, renders
every environment, and prints the files that it changed. A second run changes nothing.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&root, "root", ".", "`folder` of the repository")
			f.StringVar(&owner, "owner", "", "the `name` that the fork has on GitHub (required)")
			f.StringVar(&to.registry, "registry", "", "registry `host/path` of the images (default ghcr.io/OWNER)")
			f.StringVar(&to.repository, "repository", "", "`url` that Argo CD clones (default https://github.com/OWNER/wasmfleet.git)")
			f.DurationVar(&wait, "wait", time.Minute, "how long to wait for another command that writes to the manifests")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) > 0 {
				return cli.Usage("unexpected %q", args[0])
			}
			to, err := to.complete(owner)
			if err != nil {
				return err
			}
			return run(ctx, root, to, wait, stdout, stderr)
		},
	}
}

// identity is what differs between forks.
type identity struct {
	registry   string // host/path
	repository string // url of the git repository
}

var (
	ownerSyntax = regexp.MustCompile(`^[A-Za-z0-9](-?[A-Za-z0-9]){0,38}$`)
	// What the admission policy can read, too.
	registrySyntax = regexp.MustCompile(`^[a-z0-9]+([.-][a-z0-9]+)*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+$`)
	// No user and password: the files are for everybody. Argo CD has its own place for credentials.
	repositorySyntax = regexp.MustCompile(`^(https://[A-Za-z0-9.-]+(:[0-9]+)?|ssh://git@[A-Za-z0-9.-]+(:[0-9]+)?|git@[A-Za-z0-9.-]+:)(/?[A-Za-z0-9._~-]+)+$`)
)

// complete checks what the user gave and fills in the rest.
func (i identity) complete(owner string) (identity, error) {
	if !ownerSyntax.MatchString(owner) {
		return i, cli.Usage("--owner %q: want the name of a user or organisation on GitHub", owner)
	}
	if i.registry == "" {
		i.registry = "ghcr.io/" + strings.ToLower(owner)
	}
	if !registrySyntax.MatchString(i.registry) {
		return i, cli.Usage("--registry %q: want host/path, such as ghcr.io/%s", i.registry, strings.ToLower(owner))
	}
	if i.repository == "" {
		i.repository = "https://github.com/" + owner + "/wasmfleet.git"
	}
	if !repositorySyntax.MatchString(i.repository) {
		return i, cli.Usage("--repository %q: want https://host/path, ssh://git@host/path or git@host:path, without credentials", i.repository)
	}
	return i, nil
}

func run(ctx context.Context, root string, to identity, wait time.Duration, stdout, stderr io.Writer) error {
	makefile := filepath.Join(root, "Fork.mk")
	settings, err := os.ReadFile(makefile)
	if err != nil {
		return err
	}
	ours := registryLine.FindSubmatch(settings)
	if ours == nil {
		return cli.Finding("%s: no line REPO ?= host/path", makefile)
	}
	dir := filepath.Join(root, "manifests")
	unlock, err := manifests.Lock(ctx, dir, wait, stderr)
	if err != nil {
		return err
	}
	defer unlock()
	from, err := current(root, string(ours[2]))
	if err != nil {
		return err
	}
	edits, err := editArgoCD(root, from, to)
	if err != nil {
		return err
	}
	envs, err := pinned(dir, from, to)
	if err != nil {
		return err
	}
	results, findings, err := lint.BuildFor("init", envs, filepath.Join(root, "filters"), stderr)
	if err != nil {
		return err
	}
	if lint.Failing(findings) {
		for _, f := range findings {
			fmt.Fprintln(stderr, f)
		}
		return cli.Finding("the manifests have findings. nothing was written")
	}
	// The last one: until it is written, a run that was interrupted can be repeated.
	edits = append(edits, edit{makefile, settings, registryLine.ReplaceAll(settings, []byte("${1}"+to.registry))})
	return write(results, edits, stdout, stderr)
}

var registryLine = regexp.MustCompile(`(?m)^(REPO \?= )(\S+)$`)

// current is the identity that the repository has.
func current(root, registry string) (identity, error) {
	from := identity{registry: registry}
	file := filepath.Join(root, "manifests", "argocd", "appproject.yaml")
	content, err := os.ReadFile(file)
	if err != nil {
		return from, err
	}
	_, err = manifests.Replace(content, func(keys []string, value string) (string, string) {
		if from.repository == "" && slices.Equal(keys, []string{"spec", "sourceRepos"}) {
			from.repository = value
		}
		return value, value
	})
	if err == nil && from.repository == "" {
		err = errors.New("spec.sourceRepos names no repository. set registry and repository by hand")
	}
	if err != nil {
		return from, cli.Finding("%s: %w", file, err)
	}
	return from, nil
}

// edit is a file and its new content.
type edit struct {
	file          string
	before, after []byte
}

// editArgoCD puts the identity into every file of Argo CD's: the repository where it is cloned from, the registry where the admission
// policy lists those that code may come from. The project's file is the last one: it says what the identity was.
func editArgoCD(root string, from, to identity) ([]edit, error) {
	var files []string
	for _, pattern := range []string{"*.yaml", "*/*.yaml"} {
		found, err := filepath.Glob(filepath.Join(root, "manifests", "argocd", pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	project := filepath.Join(root, "manifests", "argocd", "appproject.yaml")
	files = append(slices.DeleteFunc(files, func(f string) bool { return f == project }), project)
	var edits []edit
	for _, file := range files {
		before, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		after, err := manifests.Replace(before, func(keys []string, value string) (string, string) {
			last := ""
			if len(keys) > 0 {
				last = keys[len(keys)-1]
			}
			// A list of CEL, such as ['ghcr.io/acme/'].
			if item := "'" + from.registry + "/'"; last == "expression" && strings.Contains(value, item) {
				return item, "'" + to.registry + "/'"
			}
			if (last == "repoURL" || last == "sourceRepos") && value == from.repository {
				return value, to.repository
			}
			return value, value
		})
		if err != nil {
			return nil, cli.Finding("%s: %w", file, err)
		}
		edits = append(edits, edit{file, before, after})
	}
	return edits, nil
}

// pinned are the environments with the pins of our registry moved to the new one. A pin in another registry is somebody's decision.
func pinned(dir string, from, to identity) ([]manifests.Environment, error) {
	envs, err := manifests.All(dir)
	if err != nil {
		return nil, err
	}
	for i, env := range envs {
		pins, err := env.Pins()
		if err != nil {
			return nil, err
		}
		moved := manifests.Pins{}
		for filter, ref := range pins {
			if ref.Repo == from.registry+"/"+filter {
				ref.Repo = to.registry + "/" + filter
				moved[filter] = ref
			}
		}
		if len(moved) == 0 {
			continue
		}
		if envs[i], err = env.WithPins(moved); err != nil {
			return nil, err
		}
	}
	return envs, nil
}

func write(results []*manifests.Result, edits []edit, stdout, stderr io.Writer) error {
	n := 0
	say := func(file string) { n++; fmt.Fprintln(stdout, "changed", file) }
	for _, r := range results {
		if err := r.Env.Save(); err != nil {
			return err
		}
		for _, file := range r.Env.Changed() {
			say(file)
		}
		changed, extra, err := r.Differences()
		if err != nil {
			return err
		}
		if len(changed)+len(extra) == 0 {
			continue
		}
		if err := r.Write(); err != nil {
			return err
		}
		for _, file := range changed {
			say(file)
		}
	}
	for _, e := range edits {
		if bytes.Equal(e.before, e.after) {
			continue
		}
		if err := atomicfile.Write(e.file, e.after); err != nil {
			return err
		}
		say(e.file)
	}
	if n == 0 {
		fmt.Fprintln(stderr, "init: nothing to do")
	}
	return nil
}
