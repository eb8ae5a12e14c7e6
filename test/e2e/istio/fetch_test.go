// Package istio holds wasmfleet's images and manifests against Istio's own code.
package istio

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/require"
	"istio.io/istio/pkg/wasm"
)

const root = "../../.."

var discard = log.New(io.Discard, "", 0)

// fetch is Istio's agent pulling a module: its file cache and image fetcher, with the sha256 of a WasmPlugin.
func fetch(t *testing.T, url, sha256 string) ([]byte, error) {
	cache := wasm.NewLocalFileCache(t.TempDir(), wasm.Options{HTTPRequestMaxRetries: 1, HTTPRequestTimeout: 5 * time.Second})
	defer cache.Cleanup()
	file, err := cache.Get(url, wasm.GetOptions{Checksum: sha256, RequestTimeout: 10 * time.Second})
	if err != nil {
		return nil, err
	}
	return os.ReadFile(file)
}

// wasmfleet runs the command that users run, from the repository's root.
func wasmfleet(t *testing.T, args ...string) (stdout string, err error) {
	bin, err := filepath.Abs(filepath.Join(root, "bin", "wasmfleet"))
	require.NoError(t, err)
	cmd := exec.Command(bin, args...)
	cmd.Dir = root
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Logf("wasmfleet %s: %s", strings.Join(args, " "), strings.TrimSpace(errs.String()))
	}
	return string(out), err
}

// serve is the real registry, on loopback, behind what the test puts before it.
func serve(t *testing.T, wrap func(http.Handler) http.Handler) (host string) {
	var h http.Handler = registry.New(registry.Logger(discard))
	if wrap != nil {
		h = wrap(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

var reference = regexp.MustCompile(`^(.*):([^:@]+)@sha256:([0-9a-f]{64})\n$`)

// Every image that publish makes is what Istio takes: by tag, by digest, by both, and with the printed digest as sha256.
func TestPublishedImagesAreAccepted(t *testing.T) {
	host := serve(t, nil)
	modules, err := filepath.Glob(filepath.Join(root, "build", "*.wasm"))
	require.NoError(t, err)
	require.NotEmpty(t, modules, `run "make build"`)
	for _, file := range modules {
		module, err := os.ReadFile(file)
		require.NoError(t, err)
		filter := strings.TrimSuffix(filepath.Base(file), ".wasm")
		for _, variant := range []string{"artifact", "compat"} {
			t.Run(filter+"/"+variant, func(t *testing.T) {
				out, err := wasmfleet(t, "publish", "--repo", host+"/filters", "--version", variant, "--variant", variant, filter)
				require.NoError(t, err)
				ref := reference.FindStringSubmatch(out)
				require.NotNil(t, ref, out)
				repo, tag, digest := "oci://"+ref[1], ref[2], ref[3]
				for _, c := range []struct{ url, sha256 string }{
					{repo + ":" + tag, ""}, {repo + "@sha256:" + digest, ""}, {repo + ":" + tag + "@sha256:" + digest, ""},
					{repo + ":" + tag, digest}, {repo + ":" + tag + "@sha256:" + digest, digest},
				} {
					got, err := fetch(t, c.url, c.sha256)
					require.NoError(t, err, c.url)
					require.Equal(t, module, got)
				}
				_, err = fetch(t, repo+":"+tag, strings.Repeat("0", 64))
				require.ErrorContains(t, err, "checksum", "the control: another digest is refused")
			})
		}
	}
}

// Each row is an image and the verdict of Istio's fetcher on its tag; publish --check says the same, or differs for the reason
// that stands there.
func TestCheckAgreesWithIstio(t *testing.T) {
	module, err := os.ReadFile(filepath.Join(root, "internal/wasmfile/testdata/lint/ok.wasm"))
	require.NoError(t, err)
	const (
		contentType = types.MediaType("application/vnd.module.wasm.content.layer.v1+wasm")
		configType  = types.MediaType("application/vnd.module.wasm.config.v1+json")
		oci, docker = types.OCIManifestSchema1, types.DockerManifestSchema2
	)
	content, config := static.NewLayer(module, contentType), static.NewLayer([]byte("{}"), configType)
	packed := func(name string, b []byte, mt types.MediaType) v1.Layer { return tarLayer(t, name, b, mt) }
	for row, c := range map[string]struct {
		image  func() (remote.Taggable, error)
		accept bool
		differ string // why publish --check refuses what Istio accepts
	}{
		"artifact":                          {img(oci, config, content), true, ""},
		"artifact, module first":            {img(oci, content, config), true, ""},
		"OCI image":                         {img(oci, packed("plugin.wasm", module, types.OCILayer)), true, ""},
		"OCI image, module in a folder":     {img(oci, packed("opt/plugin.wasm", module, types.OCILayer)), true, ""},
		"OCI image, last of two layers":     {img(oci, packed("x", nil, types.OCILayer), packed("plugin.wasm", module, types.OCILayer)), true, ""},
		"Docker image":                      {img(docker, packed("plugin.wasm", module, types.DockerLayer)), true, ""},
		"artifact of one layer":             {img(oci, content), false, ""},
		"artifact of three layers":          {img(oci, config, config, content), false, ""},
		"artifact, two configs":             {img(oci, config, static.NewLayer([]byte("{ }"), configType)), false, ""},
		"CNCF artifact":                     {img(oci, static.NewLayer(module, "application/wasm")), false, ""},
		"no layers":                         {img(oci), false, ""},
		"Docker layer in an OCI manifest":   {img(oci, packed("plugin.wasm", module, types.DockerLayer)), false, ""},
		"OCI layer in a Docker manifest":    {img(docker, packed("plugin.wasm", module, types.OCILayer)), false, ""},
		"artifact in a Docker manifest":     {img(docker, config, content), false, ""},
		"other file name":                   {img(oci, packed("filter.wasm", module, types.OCILayer)), false, ""},
		"not in the last layer":             {img(oci, packed("plugin.wasm", module, types.OCILayer), packed("x", nil, types.OCILayer), packed("y", nil, types.OCILayer)), false, ""},
		"tar without gzip":                  {img(oci, static.NewLayer(module, "application/vnd.oci.image.layer.v1.tar")), false, ""},
		"zstd":                              {img(oci, static.NewLayer(module, "application/vnd.oci.image.layer.v1.tar+zstd")), false, ""},
		"gzip type, no gzip inside":         {img(oci, static.NewLayer(module, types.OCILayer)), false, ""},
		"gzip cut short":                    {img(oci, static.NewLayer(gz(t, "plugin.wasm", module)[:60], types.OCILayer)), false, ""},
		"wrong magic":                       {img(oci, config, static.NewLayer([]byte("\x7fELF............"), contentType)), false, ""},
		"wrong magic in a tar":              {img(oci, packed("plugin.wasm", []byte("#!/bin/sh\necho hello"), types.OCILayer)), false, ""},
		"empty module":                      {img(oci, packed("plugin.wasm", nil, types.OCILayer)), false, ""},
		"module of four bytes":              {img(oci, packed("plugin.wasm", module[:4], types.OCILayer)), false, ""},
		"index without our platform":        {index(img(oci, config, content), "linux", "arm64"), false, ""},
		"index of wasip1/wasm":              {index(img(oci, config, content), "wasip1", "wasm"), false, ""},
		"index of linux/amd64":              {index(img(oci, config, content), "linux", "amd64"), true, "a pin of an index never matches: Istio compares the child's digest"},
		"module of twenty bytes":            {img(oci, config, static.NewLayer(module[:20], contentType)), true, "Istio looks at the magic only; Envoy then refuses the module"},
		"module of another ABI":             {img(oci, config, static.NewLayer(fixture(t, "abi-unknown"), contentType)), true, "Istio does not look at the ABI; Envoy then refuses the module"},
		"module with an import Envoy lacks": {img(oci, config, static.NewLayer(fixture(t, "import-c"), contentType)), true, "Istio does not look at imports; Envoy then refuses the module"},
	} {
		t.Run(row, func(t *testing.T) {
			host := serve(t, nil)
			tag, err := name.NewTag(host + "/filters/row:v1")
			require.NoError(t, err)
			image, err := c.image()
			require.NoError(t, err)
			push(t, tag, image)
			_, istio := fetch(t, "oci://"+tag.String(), "")
			_, ours := wasmfleet(t, "inspect", tag.String())
			t.Logf("Istio: %v", istio)
			require.Equal(t, c.accept, istio == nil, "what the table says of Istio: %v", istio)
			require.Equal(t, c.accept && c.differ == "", ours == nil)
		})
	}
}

// A registry that serves another blob than the manifest names: the artifact is refused by both. Of a tar layer Istio does not
// verify the digest, which is why the artifact is the default; publish --check does.
func TestSwappedBlob(t *testing.T) {
	for variant, istioAccepts := range map[string]bool{"artifact": false, "compat": true} {
		t.Run(variant, func(t *testing.T) {
			// Long enough that the tar reader has the module before the stream ends.
			module := append(fixture(t, "ok"), customSection(300_000)...)
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "demo.wasm"), module, 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "plugin.yaml"), []byte("name: demo\ntitle: d\ndescription: d\nphases: [AUTHN]\n"), 0o644))
			swap := false
			other := append(fixture(t, "ok"), customSection(290_000)...)
			host := serve(t, func(real http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if swap && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
						answer := httptest.NewRecorder()
						real.ServeHTTP(answer, r)
						body := answer.Body.Bytes()
						if variant == "compat" {
							body = append(gz(t, "plugin.wasm", other), make([]byte, len(body))...)[:len(body)]
						} else if bytes.Equal(body, module) {
							body = append(other, make([]byte, len(body)-len(other))...)
						}
						_, _ = w.Write(body)
						return
					}
					real.ServeHTTP(w, r)
				})
			})
			out, err := wasmfleet(t, "publish", "--repo", host+"/filters", "--version", "v1", "--variant", variant, filepath.Join(dir, "demo.wasm"))
			require.NoError(t, err)
			ref := strings.TrimSpace(out)
			swap = true
			_, err = fetch(t, "oci://"+ref, "")
			require.Equal(t, istioAccepts, err == nil, "%v", err)
			_, err = wasmfleet(t, "inspect", ref)
			require.Error(t, err)
		})
	}
}

func push(t *testing.T, tag name.Tag, image remote.Taggable) {
	switch i := image.(type) {
	case v1.ImageIndex:
		require.NoError(t, remote.WriteIndex(tag, i))
	case v1.Image:
		require.NoError(t, remote.Write(tag, i))
	}
}

func img(manifest types.MediaType, layers ...v1.Layer) func() (remote.Taggable, error) {
	return func() (remote.Taggable, error) {
		return mutate.AppendLayers(mutate.MediaType(empty.Image, manifest), layers...)
	}
}

func index(image func() (remote.Taggable, error), os, arch string) func() (remote.Taggable, error) {
	return func() (remote.Taggable, error) {
		i, err := image()
		if err != nil {
			return nil, err
		}
		return mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex),
			mutate.IndexAddendum{Add: i.(v1.Image), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: os, Architecture: arch}}}), nil
	}
}

func fixture(t *testing.T, name string) []byte {
	b, err := os.ReadFile(filepath.Join(root, "internal/wasmfile/testdata/lint", name+".wasm"))
	require.NoError(t, err)
	return b
}

// customSection is a section that every reader skips and nothing compresses.
func customSection(size int) []byte {
	content := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(content)
	copy(content, "\x01x") // its name
	n := len(content)
	return append([]byte{0, byte(n)&0x7f | 0x80, byte(n>>7)&0x7f | 0x80, byte(n >> 14)}, content...)
}

func gz(t *testing.T, file string, content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(content))}))
	_, err := w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	return b.Bytes()
}

func tarLayer(t *testing.T, file string, content []byte, mt types.MediaType) v1.Layer {
	packed := gz(t, file, content)
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil }, tarball.WithMediaType(mt))
	require.NoError(t, err)
	return l
}
