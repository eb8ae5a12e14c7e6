// Package image is the OCI form of a filter: it builds the image around a module and takes the module out of an image.
package image

import (
	"bytes"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// Media types of the two-layer artifact: https://github.com/solo-io/wasm/blob/master/spec/spec.md
const (
	ConfigMediaType  types.MediaType = "application/vnd.module.wasm.config.v1+json"
	ContentMediaType types.MediaType = "application/vnd.module.wasm.content.layer.v1+wasm"
)

// File names in a tar layer and titles in an artifact.
const (
	moduleName = "plugin.wasm"
	configName = "runtime-config.json"
)

// runtimeConfig is the config layer, as WebAssembly Hub's tools wrote it.
type runtimeConfig struct {
	Type        string   `json:"type"`
	ABIVersions []string `json:"abiVersions"`
	Config      struct {
		RootIDs []string `json:"rootIds"`
	} `json:"config"`
}

// Form is how an image carries the module.
type Form string

const (
	// Artifact has two layers, runtime configuration and raw module. Istio verifies the digest of the module's layer.
	Artifact Form = "artifact"
	// Compat is an ordinary OCI image whose only layer is a tar.gz with plugin.wasm, for registries and platforms that refuse
	// unknown media types. Istio does not verify the digest of that layer.
	Compat Form = "compat"
)

// Build makes the image of a filter: one manifest, never an index. The digest is a function of the module, the metadata and the
// form; nothing in it says when or from which revision it was built.
func Build(module []byte, f catalog.Filter, form Form) (v1.Image, error) {
	m, err := wasmfile.Read(module)
	if err != nil {
		return nil, err
	}
	return BuildRead(module, m, f, form)
}

// BuildRead is Build for a module that was read already; reading is most of the work.
func BuildRead(module []byte, m *wasmfile.Module, f catalog.Filter, form Form) (v1.Image, error) {
	rc := runtimeConfig{Type: "envoy_proxy", ABIVersions: []string{"v" + m.ABI}}
	rc.Config.RootIDs = []string{f.Name}
	config, err := json.Marshal(rc)
	if err != nil {
		return nil, err
	}
	annotations := map[string]string{
		"org.opencontainers.image.title":       f.Title,
		"org.opencontainers.image.description": f.Description,
		"module.wasm.runtime/type":             rc.Type,
		"module.wasm.runtime/abi_version":      rc.ABIVersions[0],
	}
	for key, value := range map[string]string{"licenses": f.Licenses, "source": f.Source, "documentation": f.Documentation} {
		if value != "" {
			annotations["org.opencontainers.image."+key] = value
		}
	}
	if form == Compat {
		return buildCompat(config, module, annotations)
	}
	return buildArtifact(config, module, annotations)
}

func buildArtifact(config, module []byte, annotations map[string]string) (v1.Image, error) {
	img := &artifact{config: config, layers: []v1.Layer{static.NewLayer(config, ConfigMediaType), static.NewLayer(module, ContentMediaType)}}
	manifest := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Annotations: annotations}
	// The title of a layer is the file name that `oras pull` gives it.
	titles := []string{configName, moduleName}
	for i, layer := range img.layers {
		d, err := partial.Descriptor(layer)
		if err != nil {
			return nil, err
		}
		d.Annotations = map[string]string{"org.opencontainers.image.title": titles[i]}
		manifest.Layers = append(manifest.Layers, *d)
	}
	// The config blob is the config layer: one upload for both.
	manifest.Config = manifest.Layers[0]
	manifest.Config.Annotations = nil
	var err error
	if img.manifest, err = json.Marshal(manifest); err != nil {
		return nil, err
	}
	return partial.CompressedToImage(img)
}

// artifact is an image whose config is not that of a container: go-containerregistry's mutate package always writes one.
type artifact struct {
	config, manifest []byte
	layers           []v1.Layer
}

var _ partial.CompressedImageCore = (*artifact)(nil)

func (a *artifact) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }
func (a *artifact) RawManifest() ([]byte, error)        { return a.manifest, nil }
func (a *artifact) RawConfigFile() ([]byte, error)      { return a.config, nil }

func (a *artifact) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	for _, l := range a.layers {
		if d, err := l.Digest(); err == nil && d == h {
			return l, nil
		}
	}
	return nil, fmt.Errorf("no layer %s", h)
}

// SameModule reports an error unless img carries exactly module, by the rules of Istio's agent.
func SameModule(img v1.Image, module []byte) error {
	got, _, err := Module(img)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, module) {
		return fmt.Errorf("the image carries another module: %d bytes, want %d", len(got), len(module))
	}
	return nil
}
