package publish

import (
	"context"
	"fmt"
	"net/http"
	"regexp"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/registry"
)

// publisher pushes the jobs of one command to one registry.
type publisher struct {
	base     http.RoundTripper
	force    bool
	progress progress
}

// publish pushes every job, filters side by side.
func (p publisher) publish(ctx context.Context, jobs []job) error {
	r, _, err := p.login(ctx, jobs, transport.PushScope)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(registry.Parallel)
	for _, j := range jobs {
		group.Go(func() error {
			if err := p.push(ctx, r, j); err != nil {
				return fmt.Errorf("pushing %s: %w", j.tag, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// login logs in to the registry of the jobs once for all of them.
func (p publisher) login(ctx context.Context, jobs []job, scope string) (r *registry.Registry, host string, err error) {
	repos := make([]name.Repository, len(jobs))
	for i, j := range jobs {
		repos[i] = j.tag.Repository
	}
	host = repos[0].RegistryStr()
	if r, err = registry.Login(ctx, repos, scope, p.base); err != nil {
		err = fmt.Errorf("logging in to %s: %w", host, registry.Explain(host, err))
	}
	return r, host, err
}

// release is a version that never moves once it is published.
var release = regexp.MustCompile(`^v?[0-9]+\.[0-9]+\.[0-9]+$`)

// push writes the blobs side by side, then the manifest under its tag, then fetches the image back by digest and checks what
// Istio's agent would take from it. Until the manifest is written the tag stays as it was. An image that is there already
// costs one request.
func (p publisher) push(ctx context.Context, r *registry.Registry, j job) error {
	host := j.tag.RegistryStr()
	digest, err := j.image.Digest()
	if err != nil {
		return err
	}
	switch current, err := r.Current(ctx, j.tag); {
	case err != nil:
		return registry.Explain(host, err)
	case current == digest.String():
		p.progress.unchanged(j)
		return nil
	case current != "" && release.MatchString(j.tag.TagStr()) && !p.force:
		return cli.Finding("the tag exists with another digest, %s. a release is not overwritten: choose another version, or use --force", current)
	}
	blobs, err := blobsOf(j.image)
	if err != nil {
		return err
	}
	uploads, uploading := errgroup.WithContext(ctx)
	for h, blob := range blobs {
		uploads.Go(func() error {
			defer p.progress.blob(j, len(blob))()
			return r.Upload(uploading, j.tag.Repository, h, blob)
		})
	}
	if err := uploads.Wait(); err != nil {
		return registry.Explain(host, err)
	}
	manifest, err := j.image.RawManifest()
	if err != nil {
		return err
	}
	mediaType, err := j.image.MediaType()
	if err != nil {
		return err
	}
	if err := r.Tag(ctx, j.tag, manifest, mediaType); err != nil {
		return registry.Explain(host, err)
	}
	if err := verify(ctx, r, j, digest); err != nil {
		return fmt.Errorf("checking it after the push: %w", registry.Explain(host, err))
	}
	p.progress.pushed(j)
	return nil
}

// verify fetches the image by digest, as Istio's agent would, and compares the module.
func verify(ctx context.Context, r *registry.Registry, j job, digest v1.Hash) error {
	img, err := remote.Image(j.tag.Digest(digest.String()), r.Options(ctx)...)
	if err != nil {
		return err
	}
	return image.SameModule(img, j.module)
}
