package image_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/image"
)

var demo = catalog.Filter{Name: "demo", Title: "Demo", Description: "A demo.", Licenses: "Apache-2.0"}

func module(t *testing.T) []byte {
	m, err := os.ReadFile("../wasmfile/testdata/lint/ok.wasm")
	require.NoError(t, err)
	return m
}

func TestBuild(t *testing.T) {
	img, err := image.Build(module(t), demo, image.Artifact)
	require.NoError(t, err)

	raw, err := img.RawManifest()
	require.NoError(t, err)
	want, err := os.ReadFile("testdata/manifest.json")
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(raw))

	got, form, err := image.Module(img)
	require.NoError(t, err)
	require.Equal(t, module(t), got)
	require.Equal(t, image.Artifact, form)
}

func TestBuildCompat(t *testing.T) {
	img, err := image.Build(module(t), demo, image.Compat)
	require.NoError(t, err)
	manifest, err := img.Manifest()
	require.NoError(t, err)
	require.Equal(t, types.OCIManifestSchema1, manifest.MediaType)
	require.Equal(t, types.OCIConfigJSON, manifest.Config.MediaType)
	require.Equal(t, "A demo.", manifest.Annotations["org.opencontainers.image.description"])
	require.Len(t, manifest.Layers, 1)
	require.Equal(t, types.OCILayer, manifest.Layers[0].MediaType)
	layers, err := img.Layers()
	require.NoError(t, err)
	require.NoError(t, validate.Layer(layers[0]))

	got, form, err := image.Module(img)
	require.NoError(t, err)
	require.Equal(t, module(t), got)
	require.Equal(t, image.Compat, form)
}

// The digest depends on the module, the metadata and the form: on each of them, and on nothing else. The two literals are what
// every machine must compute.
func TestDigest(t *testing.T) {
	for form, want := range map[image.Form]string{
		image.Artifact: "sha256:dd88a5fa7f933ea20fd39e920e501072827768558d75ab2c19525151640d4ddd",
		image.Compat:   "sha256:8ecd29400cfa9956f9725bddcfc4b36e2fddbe648743b4c5bb2c68b5c65c2308",
	} {
		digest := func(m []byte, f catalog.Filter) string {
			img, err := image.Build(m, f, form)
			require.NoError(t, err)
			d, err := img.Digest()
			require.NoError(t, err)
			return d.String()
		}
		require.Equal(t, want, digest(module(t), demo))
		other := demo
		other.Description = "Another."
		require.NotEqual(t, want, digest(module(t), other))
		custom := append(module(t), 0, 3, 1, 'x', 0) // a custom section: other bytes, same behaviour
		require.NotEqual(t, want, digest(custom, demo))
	}
}

// Module takes what Istio's agent takes and refuses what it refuses.
func TestModule(t *testing.T) {
	wasm := module(t)
	img := func(manifest types.MediaType, layers ...v1.Layer) v1.Image {
		i, err := mutate.AppendLayers(mutate.MediaType(empty.Image, manifest), layers...)
		require.NoError(t, err)
		return i
	}
	content := static.NewLayer(wasm, image.ContentMediaType)
	config := static.NewLayer([]byte("{}"), image.ConfigMediaType)
	const oci, docker = types.OCIManifestSchema1, types.DockerManifestSchema2
	for name, c := range map[string]struct {
		img  v1.Image
		want string // the error; empty when the module must come out
	}{
		"artifact":              {img(oci, config, content), ""},
		"artifact, other order": {img(oci, content, config), ""},
		"image":                 {img(oci, tarball(t, "plugin.wasm", wasm, types.OCILayer)), ""},
		"image, in a folder":    {img(oci, tarball(t, "opt/plugin.wasm", wasm, types.OCILayer)), ""},
		"Docker image":          {img(docker, tarball(t, "plugin.wasm", wasm, types.DockerLayer)), ""},
		"no layers":             {img(oci), "no layers"},
		"one layer":             {img(oci, content), "1 layers, want 2"},
		"other types":           {img(oci, config, config), "no layer of type"},
		"wrong file name":       {img(oci, tarball(t, "filter.wasm", wasm, types.OCILayer)), "no file plugin.wasm"},
		"not the last layer":    {img(oci, tarball(t, "plugin.wasm", wasm, types.OCILayer), tarball(t, "x", nil, types.OCILayer), tarball(t, "y", nil, types.OCILayer)), "no file plugin.wasm"},
		"Docker in OCI":         {img(oci, tarball(t, "plugin.wasm", wasm, types.DockerLayer)), "last layer is application/vnd.docker"},
		"OCI in Docker":         {img(docker, tarball(t, "plugin.wasm", wasm, types.OCILayer)), "last layer is application/vnd.oci"},
		"no gzip":               {img(oci, static.NewLayer(wasm, types.OCILayer)), "unpacking layer"},
		"no module":             {img(oci, config, static.NewLayer([]byte("#!/bin/sh\n"), image.ContentMediaType)), "carries no wasm module"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := image.Module(c.img)
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				return
			}
			require.NoError(t, err)
			require.Equal(t, wasm, got)
		})
	}
}

func tarball(t *testing.T, name string, content []byte, mediaType types.MediaType) v1.Layer {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}))
	_, err := w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	return static.NewLayer(b.Bytes(), mediaType)
}

// A layer that unpacks to more than Istio would read ends with an error, not with the memory.
func TestModuleBomb(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	const size = 300 << 20
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "plugin.wasm", Mode: 0o644, Size: size}))
	_, err := io.CopyN(w, zeros{}, size)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer(b.Bytes(), types.OCILayer))
	require.NoError(t, err)
	_, _, err = image.Module(img)
	require.ErrorContains(t, err, "over 268435456 bytes")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestSameModule(t *testing.T) {
	img, err := image.Build(module(t), demo, image.Artifact)
	require.NoError(t, err)
	require.NoError(t, image.SameModule(img, module(t)))
	require.ErrorContains(t, image.SameModule(img, module(t)[1:]), "carries another module")
}
