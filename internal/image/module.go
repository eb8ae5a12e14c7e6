package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// maxModuleBytes is what Istio's agent reads at most (ISTIO_WASM_MAX_BINARY_SIZE_BYTES, its default); maxLayerBytes bounds what
// is unpacked on the way to the module, so that a gzip bomb ends.
const (
	maxModuleBytes = 256 << 20
	maxLayerBytes  = maxModuleBytes + 1<<20
)

var wasmMagic = []byte("\x00asm")

// Module takes the module out of an image as Istio's agent does (istio.io/istio/pkg/wasm/imagefetcher.go) and says in which form
// it was: a Docker or OCI image whose last layer is a tar.gz with a file plugin.wasm, or an artifact of two layers one of which
// is the module.
func Module(img v1.Image) ([]byte, Form, error) {
	manifest, err := img.Manifest()
	if err != nil {
		return nil, "", fmt.Errorf("reading manifest: %w", err)
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, "", fmt.Errorf("reading layers: %w", err)
	}
	wanted := types.OCILayer
	if manifest.MediaType == types.DockerManifestSchema2 {
		wanted = types.DockerLayer
	}
	form := Compat
	module, err := fromTar(layers, wanted)
	if err != nil && wanted == types.OCILayer {
		var artifactErr error
		if module, artifactErr = fromArtifact(layers); artifactErr != nil {
			return nil, "", fmt.Errorf("neither form of a Wasm image: as an image: %w; as an artifact: %w", err, artifactErr)
		}
		form, err = Artifact, nil
	}
	if err != nil {
		return nil, "", err
	}
	if len(module) < 8 || !bytes.HasPrefix(module, wasmMagic) {
		return nil, "", errors.New("the image carries no wasm module: its bytes do not begin with \\0asm")
	}
	return module, form, nil
}

func fromTar(layers []v1.Layer, want types.MediaType) ([]byte, error) {
	if len(layers) == 0 {
		return nil, errors.New("no layers")
	}
	last := layers[len(layers)-1]
	if got, err := last.MediaType(); err != nil || got != want {
		return nil, fmt.Errorf("last layer is %s, want %s", got, want)
	}
	r, err := last.Compressed()
	if err != nil {
		return nil, fmt.Errorf("reading layer: %w", err)
	}
	defer r.Close()
	// Read to the end before unpacking: only there is the digest verified. Istio stops at the module, before the end.
	packed, err := io.ReadAll(io.LimitReader(r, maxLayerBytes))
	if err != nil {
		return nil, fmt.Errorf("reading layer: %w", err)
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpacking layer: %w", err)
	}
	for entries := tar.NewReader(io.LimitReader(unzipped, maxLayerBytes)); ; {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("no file " + moduleName + " in the last layer")
		}
		if err != nil {
			return nil, fmt.Errorf("unpacking layer: %w", err)
		}
		if path.Base(h.Name) == moduleName {
			return readModule(entries)
		}
	}
}

func fromArtifact(layers []v1.Layer) ([]byte, error) {
	if len(layers) != 2 {
		return nil, fmt.Errorf("%d layers, want 2", len(layers))
	}
	for _, l := range layers {
		if got, err := l.MediaType(); err != nil || got != ContentMediaType {
			continue
		}
		r, err := l.Compressed()
		if err != nil {
			return nil, fmt.Errorf("reading layer: %w", err)
		}
		defer r.Close()
		return readModule(r)
	}
	return nil, fmt.Errorf("no layer of type %s", ContentMediaType)
}

func readModule(r io.Reader) ([]byte, error) {
	module, err := io.ReadAll(io.LimitReader(r, maxModuleBytes+1))
	if err == nil && len(module) > maxModuleBytes {
		err = fmt.Errorf("module is over %d bytes", maxModuleBytes)
	}
	return module, err
}
