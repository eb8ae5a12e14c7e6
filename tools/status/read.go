package status

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/history"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/lint"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// status is what is printed; as JSON it is an API.
type status struct {
	Environments []environment `json:"environments"`
	Filters      []filter      `json:"filters"`
	Unused       []string      `json:"unusedTags,omitempty"` // of the registry, with --unused
	Notes        []string      `json:"notes,omitempty"`      // what could not be known

	everPinned map[string]bool // digests
}

type environment struct {
	Name     string         `json:"name"`
	Upstream string         `json:"upstream"`
	Istio    string         `json:"istio"`
	API      string         `json:"api"`
	Allowed  []lint.Finding `json:"allowed,omitempty"` // findings that environment.yaml lets pass, with their reasons
	Failing  int            `json:"findings"`          // findings that do not pass
}

type filter struct {
	Name  string `json:"name"`
	Title string `json:"title,omitempty"`
	Pins  []pin  `json:"pins"` // none: it is deployed nowhere
}

// pin is a pinned version of a filter in an environment, or in a folder of one that has pins of its own.
type pin struct {
	Environment string          `json:"environment"`
	File        string          `json:"file"`
	Image       string          `json:"image"`
	Version     string          `json:"version"`
	Digest      string          `json:"digest"`
	Deployed    []string        `json:"deployed"` // the objects that run it, namespace/name; none: the pin changes nothing
	Pinned      *history.Commit `json:"pinned"`   // null: not committed
	Behind      *behind         `json:"behind,omitempty"`
	Present     *bool           `json:"present,omitempty"` // in the registry, with --registry

	ref image.Ref
}

// behind is what the upstream environment has and this one has not.
type behind struct {
	Of      string           `json:"of"`
	Version string           `json:"version"`
	Commits []history.Commit `json:"commits"` // of the filter's folder; null when git cannot tell
}

// read puts together what the tree and git say.
func read(ctx context.Context, o options, names []string, stderr io.Writer) (*status, error) {
	all, err := manifests.All(o.dir)
	if err != nil {
		return nil, err
	}
	if _, err := manifests.LoadAll(o.dir, names); err != nil {
		return nil, err // an unknown name
	}
	filters, err := catalog.Load(o.filters)
	if err != nil {
		return nil, err
	}
	repository, err := history.Open(ctx, o.dir)
	if err != nil {
		return nil, fmt.Errorf("%w. status reads a git repository", err)
	}
	bar := cli.NewProgress(stderr)
	defer bar.End()
	var results []*manifests.Result
	findings := map[string][]lint.Finding{} // by environment
	for _, env := range all {
		built, found, err := lint.Build([]manifests.Environment{env}, filters, func(string, ...any) {}, bar.Step)
		if err != nil {
			return nil, err
		}
		results, findings[env.Name] = append(results, built...), found
	}
	s := &status{Environments: []environment{}, Filters: []filter{}}
	if repository.Shallow {
		s.Notes = append(s.Notes, `this clone has the last commits only, so a pin may be older than is said. run "git fetch --unshallow"`)
	}
	r := reader{ctx: ctx, repository: repository, filters: o.filters, versions: map[string][]history.Version{}, results: results}
	byFilter := map[string][]pin{}
	for _, result := range results {
		pins, err := r.pinsOf(result)
		if err != nil {
			return nil, err
		}
		if len(names) > 0 && !slices.Contains(names, result.Env.Name) {
			continue
		}
		s.Environments = append(s.Environments, describe(result.Env, findings[result.Env.Name]))
		for name, p := range pins {
			byFilter[name] = append(byFilter[name], p...)
		}
	}
	for _, f := range filters {
		s.Filters = append(s.Filters, filter{f.Name, f.Title, append([]pin{}, byFilter[f.Name]...)})
		delete(byFilter, f.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(byFilter)) { // pins of a filter whose folder is gone, or of a vendor's image
		s.Filters = append(s.Filters, filter{Name: name, Pins: byFilter[name]})
	}
	s.everPinned = r.pinned()
	return s, nil
}

func describe(env manifests.Environment, findings []lint.Finding) environment {
	e := environment{Name: env.Name, Upstream: env.Upstream, Istio: env.Istio, API: env.API}
	for _, f := range findings {
		if f.Allowed == "" {
			e.Failing++
		} else {
			e.Allowed = append(e.Allowed, f)
		}
	}
	return e
}

// reader knows each file's history once.
type reader struct {
	ctx        context.Context
	repository *history.Repository
	filters    string
	versions   map[string][]history.Version
	results    []*manifests.Result
}

func (r reader) of(file string) ([]history.Version, error) {
	if known, ok := r.versions[file]; ok {
		return known, nil
	}
	versions, err := r.repository.Versions(r.ctx, file)
	r.versions[file] = versions
	return versions, err
}

func (r reader) pinsOf(result *manifests.Result) (map[string][]pin, error) {
	env := result.Env
	deployed := map[string][]string{} // by url's reference
	for _, p := range result.Plugins {
		deployed[p.Spec.Url] = append(deployed[p.Spec.Url], p.Namespace+"/"+p.Name)
	}
	pins := map[string][]pin{}
	for _, file := range result.Pins {
		if len(file.Pins) == 0 {
			continue
		}
		versions, err := r.of(file.File)
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(file.Pins)) {
			ref := file.Pins[name]
			p := pin{
				Environment: env.Name, File: file.File, Image: ref.String(), Version: ref.Tag, Digest: ref.Digest,
				Deployed: append([]string{}, deployed["oci://"+ref.String()]...),
				Pinned:   history.Since(versions, name, ref),
				ref:      ref,
			}
			slices.Sort(p.Deployed)
			if p.Behind, err = r.behind(env, name, ref); err != nil {
				return nil, err
			}
			pins[name] = append(pins[name], p)
		}
	}
	return pins, nil
}

// behind compares with the pin of the upstream environment; nil when that has the same image, or none.
func (r reader) behind(env manifests.Environment, name string, here image.Ref) (*behind, error) {
	for _, up := range r.results {
		if up.Env.Name != env.Upstream {
			continue
		}
		there, ok := up.Pins[0].Pins[name]
		if !ok || there.Digest == here.Digest {
			return nil, nil
		}
		b := &behind{Of: up.Env.Name, Version: there.Tag}
		// What was pinned by a commit was built of what came before it.
		from, err := r.first(name, here.Digest)
		if err != nil {
			return nil, err
		}
		to, err := r.first(name, there.Digest)
		if err != nil || from == nil || to == nil {
			return b, err
		}
		commits, err := r.repository.Commits(r.ctx, from.ID, to.ID, filepath.Join(r.filters, name))
		if err == nil {
			b.Commits = append([]history.Commit{}, commits...)
		}
		return b, nil
	}
	return nil, nil
}

// first is the oldest commit that pinned the image anywhere.
func (r reader) first(name, digest string) (*history.Commit, error) {
	var oldest *history.Commit
	for _, result := range r.results {
		versions, err := r.of(result.Env.PinsFile())
		if err != nil {
			return nil, err
		}
		if c := history.First(versions, name, digest); c != nil && (oldest == nil || c.Time.Before(oldest.Time)) {
			oldest = c
		}
	}
	return oldest, nil
}

// pinned are the digests that any commit has pinned, or that a pin has which is not committed.
func (r reader) pinned() map[string]bool {
	all := map[string]bool{}
	for _, result := range r.results {
		for _, file := range result.Pins {
			for _, ref := range file.Pins {
				all[ref.Digest] = true
			}
		}
	}
	for _, versions := range r.versions {
		for _, v := range versions {
			for _, ref := range v.Pins {
				all[ref.Digest] = true
			}
		}
	}
	return all
}

// state is a pin in one word or two.
func (p pin) state() string {
	switch {
	case len(p.Deployed) == 0:
		return "not deployed"
	case p.Behind == nil:
		return ""
	case p.Behind.Commits == nil:
		return "behind " + p.Behind.Of
	case len(p.Behind.Commits) == 0:
		return fmt.Sprintf("other build than %s", p.Behind.Of)
	case len(p.Behind.Commits) == 1:
		return "1 commit behind " + p.Behind.Of
	default:
		return fmt.Sprintf("%d commits behind %s", len(p.Behind.Commits), p.Behind.Of)
	}
}

func (p pin) by() string {
	if p.Pinned == nil {
		return "not committed"
	}
	return cmp.Or(p.Pinned.Author, "?")
}
