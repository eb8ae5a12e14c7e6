package attest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const emptyType = "application/vnd.oci.empty.v1+json"

// referrer is the image of a bundle: an OCI manifest with the image as its subject, and the bundle as its one layer.
type referrer struct {
	manifest, bundle []byte
}

type descriptor struct {
	MediaType types.MediaType `json:"mediaType"`
	Digest    v1.Hash         `json:"digest"`
	Size      int64           `json:"size"`
}

func describe(mediaType types.MediaType, content []byte) descriptor {
	sum := sha256.Sum256(content)
	return descriptor{mediaType, v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}, int64(len(content))}
}

// newReferrer is the referrer of a bundle, beside the image that subject describes.
func newReferrer(bundle []byte, predicateType string, subject v1.Descriptor) (v1.Image, error) {
	manifest, err := json.Marshal(struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     types.MediaType   `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        descriptor        `json:"config"`
		Layers        []descriptor      `json:"layers"`
		Subject       descriptor        `json:"subject"`
		Annotations   map[string]string `json:"annotations"`
	}{
		2, types.OCIManifestSchema1, BundleType, describe(emptyType, []byte("{}")), []descriptor{describe(BundleType, bundle)},
		descriptor{subject.MediaType, subject.Digest, subject.Size},
		map[string]string{"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicateType},
	})
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(&referrer{manifest, bundle})
}

func (r *referrer) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (r *referrer) RawManifest() ([]byte, error)        { return r.manifest, nil }
func (r *referrer) RawConfigFile() ([]byte, error)      { return []byte("{}"), nil }

// LayerByDigest implements partial.CompressedImageCore.
func (r *referrer) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	for _, content := range [][]byte{r.bundle, []byte("{}")} {
		if d := describe(BundleType, content); d.Digest == h {
			return layer{d, content}, nil
		}
	}
	return nil, fmt.Errorf("no blob %s", h)
}

type layer struct {
	descriptor
	content []byte
}

func (l layer) Digest() (v1.Hash, error)            { return l.descriptor.Digest, nil }
func (l layer) Size() (int64, error)                { return l.descriptor.Size, nil }
func (l layer) MediaType() (types.MediaType, error) { return l.descriptor.MediaType, nil }
func (l layer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.content)), nil
}

// Attach pushes bundles as referrers of an image, one after the other: a registry without the referrers API keeps them in an index
// under a tag, which is read, changed and written.
func Attach(ctx context.Context, image name.Digest, bundles [][]byte, options ...remote.Option) error {
	options = append(options, remote.WithContext(ctx))
	subject, err := remote.Head(image, options...)
	if err != nil {
		return err
	}
	for _, b := range bundles {
		s, err := Read(b)
		if err != nil {
			return err
		}
		r, err := newReferrer(b, s.PredicateType, *subject)
		if err != nil {
			return err
		}
		digest, err := r.Digest()
		if err != nil {
			return err
		}
		if err := remote.Write(image.Context().Digest(digest.String()), r, options...); err != nil {
			return err
		}
	}
	return nil
}

// Bundles are those that refer to an image, in the order of their digests. Referrers of other kinds are left out.
func Bundles(ctx context.Context, image name.Digest, options ...remote.Option) (all [][]byte, err error) {
	options = append(options, remote.WithContext(ctx))
	index, err := remote.Referrers(image, options...)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, d := range manifest.Manifests { // what a registry says of their type is not all the same; the layer's is
		img, err := remote.Image(image.Context().Digest(d.Digest.String()), options...)
		if err != nil {
			return nil, err
		}
		layers, err := img.Layers()
		if err != nil {
			return nil, err
		}
		if len(layers) != 1 {
			continue
		}
		if mt, err := layers[0].MediaType(); err != nil || mt != BundleType {
			continue
		}
		content, err := layers[0].Compressed()
		if err != nil {
			return nil, err
		}
		const most = 16 << 20
		data, err := io.ReadAll(io.LimitReader(content, most))
		if err := content.Close(); err != nil {
			return nil, err
		}
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}
