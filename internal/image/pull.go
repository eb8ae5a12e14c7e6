package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// ErrIndex says that a digest is that of an image index, of several images.
var ErrIndex = errors.New("an image index")

// Pull fetches the image by its digest, never by its tag, and takes the module out of it. What the registry answers is
// checked against the digest. With plainHTTP the registry is spoken to over HTTP; one on loopback may be in any case.
func Pull(ctx context.Context, ref Ref, plainHTTP bool, options ...remote.Option) ([]byte, error) {
	reading := []name.Option{name.StrictValidation}
	if plainHTTP {
		reading = append(reading, name.Insecure)
	}
	digest, err := name.NewDigest(ref.Repo+"@"+ref.Digest, reading...)
	if err != nil {
		return nil, err
	}
	desc, err := remote.Get(digest, append(options, remote.WithContext(ctx))...)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", digest, err)
	}
	if desc.MediaType.IsIndex() {
		return nil, fmt.Errorf("%s is %w: Istio compares the digest of the image inside. pin a single manifest", digest, ErrIndex)
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
