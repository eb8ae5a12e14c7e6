package filterimage

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Pull fetches the image by its digest, never by its tag, and takes the module out of it. What the registry answers is
// checked against the digest.
func Pull(ctx context.Context, ref Ref, options ...remote.Option) ([]byte, error) {
	digest, err := name.NewDigest(ref.Repo + "@" + ref.Digest)
	if err != nil {
		return nil, err
	}
	desc, err := remote.Get(digest, append(options, remote.WithContext(ctx))...)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", digest, err)
	}
	if desc.MediaType.IsIndex() {
		return nil, fmt.Errorf("%s is an image index: Istio compares the digest of the image inside. pin a single manifest", digest)
	}
	img, err := desc.Image()
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", digest, err)
	}
	module, _, err := Module(img)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", digest, err)
	}
	return module, nil
}
