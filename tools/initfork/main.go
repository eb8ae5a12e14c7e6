// Command initfork makes a clone of this repository somebody's own: it puts their registry and their repository wherever those
// of the original stand. Called by `make init`.
package main

import (
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

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/cli"
)

func main() { os.Exit(command().Main(os.Args[1:], os.Stdout, os.Stderr)) }

func command() cli.Command {
	var root, owner string
	var to identity
	return cli.Command{
		Name: "initfork",
		About: `Puts the registry and the repository of a fork into the Makefile, into the pins of every environment and into manifests/argocd,
and prints the files that it changed. A second run changes nothing. Render comes next.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&root, "root", ".", "`folder` of the repository")
			f.StringVar(&owner, "owner", "", "the `name` that the fork has on GitHub (required)")
			f.StringVar(&to.registry, "registry", "", "registry `host/path` of the images (default ghcr.io/OWNER)")
			f.StringVar(&to.repository, "repository", "", "`url` that Argo CD clones (default https://github.com/OWNER/wasmfleet.git)")
		},
		Run: func(_ context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) > 0 {
				return cli.Usage("unexpected %q", args[0])
			}
			to, err := to.complete(owner)
			if err != nil {
				return err
			}
			return run(root, to, stdout, stderr)
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

// Where registry and repository stand.
var (
	makefileLine = regexp.MustCompile(`(?m)^(REPO \?= )(\S+)$`)
	pinLine      = regexp.MustCompile(`(?m)^( +newName: oci://)(\S+)(/[^/\s]+)$`)
	registryItem = regexp.MustCompile(`(?m)^( +\[')([^']+)(/'.*\])$`)
	repoURL      = regexp.MustCompile(`(?m)^( *(?:repoURL:|sourceRepos:\n *-) )(\S+)$`)
)

// edit is a file and the new content of it.
type edit struct {
	file    string
	content []byte
	changed bool
}

func run(root string, to identity, stdout, stderr io.Writer) error {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		return err
	}
	from := makefileLine.FindSubmatch(makefile)
	if from == nil {
		return cli.Finding("%s: no line REPO ?= host/path", filepath.Join(root, "Makefile"))
	}
	// A pin in another registry than ours is somebody's decision.
	ours := []string{string(from[2]), to.registry}
	registry := func(old string) string {
		if slices.Contains(ours, old) {
			return to.registry
		}
		return old
	}
	repository := func(string) string { return to.repository }
	places := []struct {
		glob    string
		line    *regexp.Regexp
		replace func(old string) string
		must    bool
	}{
		{"manifests/overlays/*/digests/kustomization.yaml", pinLine, registry, false},
		{"manifests/argocd/appproject.yaml", repoURL, repository, true},
		{"manifests/argocd/applicationset.yaml", repoURL, repository, true},
		{"manifests/argocd/multicluster/applicationset.yaml", repoURL, repository, true},
		{"manifests/argocd/validatingadmissionpolicy.yaml", registryItem, registry, true},
		// The last one: until it is written, a run that was interrupted can be repeated.
		{"Makefile", makefileLine, registry, true},
	}
	var edits []edit
	for _, p := range places {
		files, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(p.glob)))
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return cli.Finding("%s: no such file", filepath.Join(root, p.glob))
		}
		for _, file := range files {
			e, err := replace(file, p.line, p.replace)
			if errors.Is(err, errNotFound) && !p.must {
				continue
			}
			if err != nil {
				return cli.Finding("%s: %w", file, err)
			}
			edits = append(edits, e)
		}
	}
	return write(edits, stdout, stderr)
}

var errNotFound = errors.New("the line to change is not there. set registry and repository by hand")

// replace replaces the second group of each match.
func replace(file string, line *regexp.Regexp, value func(old string) string) (edit, error) {
	old, err := os.ReadFile(file)
	if err != nil {
		return edit{}, err
	}
	if !line.Match(old) {
		return edit{}, errNotFound
	}
	content := line.ReplaceAllFunc(old, func(match []byte) []byte {
		groups := line.FindSubmatch(match)
		return slices.Concat(groups[1], []byte(value(string(groups[2]))), slices.Concat(groups[3:]...))
	})
	return edit{file, content, string(content) != string(old)}, nil
}

func write(edits []edit, stdout, stderr io.Writer) error {
	n := 0
	for _, e := range edits {
		if !e.changed {
			continue
		}
		if err := atomicfile.Write(e.file, e.content); err != nil {
			return err
		}
		fmt.Fprintln(stdout, "changed", e.file)
		n++
	}
	if n == 0 {
		fmt.Fprintln(stderr, "initfork: nothing to do")
	}
	return nil
}
