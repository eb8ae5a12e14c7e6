package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/registry"
)

// ask asks the registries for the pinned images, and for tags that no pin ever had. It gives the images that are missing.
func (s *status) ask(ctx context.Context, o options, stderr io.Writer) (missing []string, err error) {
	base, err := registry.NewTransport(o.caFile)
	if err != nil {
		return nil, err
	}
	var naming []name.Option
	if o.plainHTTP {
		naming = append(naming, name.Insecure)
	}
	r := &asked{
		options: []remote.Option{remote.WithContext(ctx), remote.WithTransport(base), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("wasmfleet-status")},
		naming:  naming, present: map[string]bool{},
	}
	bar := cli.NewProgress(stderr)
	defer bar.End()
	repositories := map[string]string{} // filter by repository
	for i := range s.Filters {
		for j := range s.Filters[i].Pins {
			p := &s.Filters[i].Pins[j]
			repositories[p.ref.Repo] = s.Filters[i].Name
			if !o.registry {
				continue
			}
			bar.Step(p.Image)
			there, err := r.has(p.ref)
			if err != nil {
				return nil, err
			}
			if p.Present = &there; !there {
				missing = append(missing, p.Environment+": "+p.Image)
			}
		}
	}
	if !o.unused {
		return missing, nil
	}
	for _, repo := range slices.Sorted(maps.Keys(repositories)) {
		bar.Step(repo)
		tags, err := r.unused(repo, s.everPinned)
		if err != nil {
			return nil, err
		}
		s.Unused = append(s.Unused, tags...)
	}
	return missing, nil
}

type asked struct {
	options []remote.Option
	naming  []name.Option
	present map[string]bool // by reference without tag
}

func (a *asked) has(ref image.Ref) (bool, error) {
	at := ref.Repo + "@" + ref.Digest
	if there, ok := a.present[at]; ok {
		return there, nil
	}
	digest, err := name.NewDigest(at, a.naming...)
	if err != nil {
		return false, err
	}
	switch _, err := remote.Head(digest, a.options...); {
	case err == nil:
		a.present[at] = true
	case absent(err):
		a.present[at] = false
	default:
		return false, fmt.Errorf("asking for %s: %w", at, registry.Explain(digest.RegistryStr(), err))
	}
	return a.present[at], nil
}

// unused are the tags of a repository whose image no pin has or had. Tags of signatures and the like belong to an image.
func (a *asked) unused(repo string, pinned map[string]bool) (unused []string, err error) {
	r, err := name.NewRepository(repo, a.naming...)
	if err != nil {
		return nil, err
	}
	tags, err := remote.List(r, a.options...)
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("listing the tags of %s: %w", repo, registry.Explain(r.RegistryStr(), err))
	}
	slices.Sort(tags)
	for _, tag := range tags {
		if strings.HasPrefix(tag, "sha256-") {
			continue
		}
		desc, err := remote.Head(r.Tag(tag), a.options...)
		if absent(err) {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("asking for %s:%s: %w", repo, tag, registry.Explain(r.RegistryStr(), err))
		}
		if !pinned[desc.Digest.String()] {
			unused = append(unused, fmt.Sprintf("%s:%s@%s", repo, tag, desc.Digest))
		}
	}
	return unused, nil
}

func absent(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}
