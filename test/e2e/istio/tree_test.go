package istio

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// tree is a copy of manifests/ whose environments pin images of one registry.
type tree struct {
	t   *testing.T
	dir string
}

func newTree(t *testing.T) tree {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "manifests")
	require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(root, "manifests"))))
	return tree{t, dir}
}

func (tr tree) environments() []manifests.Environment {
	tr.t.Helper()
	all, err := manifests.All(tr.dir)
	require.NoError(tr.t, err)
	require.NotEmpty(tr.t, all)
	return all
}

var (
	apiLine   = regexp.MustCompile(`(?m)^api: .*$`)
	istioLine = regexp.MustCompile(`(?m)^istio: .*$`)
)

// set makes the environment one of the API, on the Istio that runs here.
func (tr tree) set(env, api string) {
	tr.t.Helper()
	file := filepath.Join(tr.dir, "overlays", env, manifests.File)
	text, err := os.ReadFile(file)
	require.NoError(tr.t, err)
	require.Regexp(tr.t, apiLine, string(text))
	text = istioLine.ReplaceAll(apiLine.ReplaceAll(text, []byte("api: "+api)), []byte(`istio: "1.31"`))
	require.NoError(tr.t, os.WriteFile(file, text, 0o644))
}

// pin writes the pins of an environment.
func (tr tree) pin(env string, pins manifests.Pins) {
	tr.t.Helper()
	e, err := manifests.Load(tr.dir, env)
	require.NoError(tr.t, err)
	next, err := e.WithPins(pins)
	require.NoError(tr.t, err)
	require.NoError(tr.t, next.Save())
}

// edit replaces text in a file of the tree.
func (tr tree) edit(path, old, new string) {
	tr.t.Helper()
	file := filepath.Join(tr.dir, path)
	text, err := os.ReadFile(file)
	require.NoError(tr.t, err)
	require.Contains(tr.t, string(text), old, path)
	require.NoError(tr.t, os.WriteFile(file, []byte(strings.Replace(string(text), old, new, 1)), 0o644))
}

// render runs the tool and returns the folder that it wrote.
func (tr tree) render(env string) (dir string) {
	tr.t.Helper()
	cmd := exec.CommandContext(tr.t.Context(), "bin/wasmfleet", "render", "--dir", tr.dir, "--filters", "filters", env)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(tr.t, err, "render %s: %s", env, out)
	return filepath.Join(tr.dir, "rendered", env)
}

// read is all of a folder of rendered manifests, as one YAML text.
func read(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var all bytes.Buffer
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		all.WriteString("---\n")
		all.Write(text)
	}
	return all.String()
}

// modules are those of `make build`, by filter; but for those that nothing deploys.
func modules(t *testing.T) map[string][]byte {
	t.Helper()
	filters, err := catalog.Load(filepath.Join(root, "filters"))
	require.NoError(t, err)
	require.NotEmpty(t, filters)
	all := map[string][]byte{}
	for _, f := range filters {
		if f.Optional {
			continue
		}
		all[f.Name], err = os.ReadFile(filepath.Join(root, "build", f.Name+".wasm"))
		require.NoError(t, err, `run "make build"`)
	}
	return all
}

// pushAll pushes the image of every filter.
func pushAll(t *testing.T, host string) manifests.Pins {
	t.Helper()
	pins := manifests.Pins{}
	for filter, module := range modules(t) {
		pins[filter] = pushModule(t, host, filter, "v1", module)
	}
	return pins
}

func pushModule(t *testing.T, host, filter, version string, module []byte, options ...remote.Option) image.Ref {
	t.Helper()
	ref, img := buildModule(t, host, filter, version, module)
	tag, err := name.NewTag(ref.Repo + ":" + ref.Tag)
	require.NoError(t, err)
	require.NoError(t, remote.Write(tag, img, options...))
	return ref
}

// buildModule is the image that publish makes, and how the registry will know it.
func buildModule(t *testing.T, host, filter, version string, module []byte) (image.Ref, v1.Image) {
	t.Helper()
	filters, err := catalog.Load(filepath.Join(root, "filters"))
	require.NoError(t, err)
	for _, f := range filters {
		if f.Name != filter {
			continue
		}
		img, err := image.Build(module, f, image.Artifact)
		require.NoError(t, err)
		digest, err := img.Digest()
		require.NoError(t, err)
		return image.Ref{Repo: host + "/filters/" + filter, Tag: version, Digest: digest.String()}, img
	}
	require.FailNow(t, "no such filter", filter)
	return image.Ref{}, nil
}

// otherBytes is a module with the same code, which is another build: a custom section is appended.
func otherBytes(t *testing.T, module []byte, section string) []byte {
	t.Helper()
	other := append(slices.Clone(module), 0, byte(len(section)+2), byte(len(section)))
	other = append(other, section+"\x00"...)
	const mark, unknown = "wasmfleet build:", "??????"
	copy(other[bytes.Index(other, []byte(mark))+len(mark):], unknown)
	other, ok := wasmfile.Seal(other)
	require.True(t, ok)
	return other
}

// build is which build a module says that it is.
func build(t *testing.T, module []byte) uint64 {
	t.Helper()
	number, ok := wasmfile.Build(module)
	require.True(t, ok)
	return number
}
