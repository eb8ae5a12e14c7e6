//go:build envoy

// Package build proves that a module's bytes, and so its digest, are a function of the sources.
package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
	"github.com/wasmfleet/wasmfleet/test/clone"
)

const root = "../.."

func filters(t *testing.T) []catalog.Filter {
	all, err := catalog.Load(filepath.Join(root, "filters"))
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return all
}

func module(t *testing.T, root, filter string) []byte {
	m, err := os.ReadFile(filepath.Join(root, "build", filter+".wasm"))
	require.NoError(t, err, `run the tests with "make test"`)
	return m
}

// A clone in another folder, for somebody else in another time zone, builds the same bytes.
func TestSameBytesElsewhere(t *testing.T) {
	dir := clone.Tree(t, root)
	cmd := exec.Command("bash", "-c", "umask 077; make build")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "TZ=Pacific/Chatham", "LC_ALL=C")
	for _, cache := range []string{"GOCACHE", "GOMODCACHE"} { // found by way of HOME; only TinyGo's own starts empty
		at, err := exec.Command("go", "env", cache).Output()
		require.NoError(t, err)
		cmd.Env = append(cmd.Env, cache+"="+strings.TrimSpace(string(at)))
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	for _, f := range filters(t) {
		require.Equal(t, module(t, root, f.Name), module(t, dir, f.Name), f.Name)
	}
}

// make build refuses a filter that would compile and then fail in Envoy, by file, line and remedy, and leaves no module. The
// cases of what is refused are tools/filterbuild's.
func TestBuildRefuses(t *testing.T) {
	dir := clone.Tree(t, root)
	name := filters(t)[0].Name
	bad := "package main\n\nfunc init() { go init2() }\n\nfunc init2() {}\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "filters", name, "bad.go"), []byte(bad), 0o644))
	cmd := exec.Command("make", "build", "FILTER="+name)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "filters/"+name+"/bad.go:3:15: a filter may not start a goroutine")
	require.NoFileExists(t, filepath.Join(dir, "build", name+".wasm"))
}

// What filters/<name>/module.yaml says is what the module is: an EnvoyFilter allows that, no less and no more.
func TestDescribed(t *testing.T) {
	for _, f := range filters(t) {
		m, err := wasmfile.Read(module(t, root, f.Name))
		require.NoError(t, err)
		require.Equal(t, m.Capabilities(), f.Capabilities, f.Name)
	}
	cmd := exec.Command("git", "diff", "--exit-code", "--", "filters/*/module.yaml")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "make build wrote another module.yaml. commit it:\n%s", out)
}

// toolchain is what the committed pins were built with, as `make tools` prints it. Another Go, LLVM, libc or binaryen may
// compile to other bytes.
const toolchain = `tinygo     tinygo version 0.41.1 linux/amd64 (using go version go1.26.8 and LLVM version 19.1.7)
wasm-opt   108
wasi-libc  b4d69bce4aba85f9e1014c57a583b1ea642d15fb95eb0a0b1314e0fd5880a767
`

// unpublished is the registry path of pins that nobody has pushed yet. A fork's pins name its own registry and lag behind the
// sources until the next publish and promotion.
const unpublished = "ghcr.io/wasmfleet/"

// Pins that nobody has pushed are the digests of what this tree builds, so that a clone runs every environment without a registry.
func TestPinsAreWhatThisTreeBuilds(t *testing.T) {
	cmd := exec.Command("make", "-s", "tools")
	cmd.Dir = root
	out, err := cmd.Output()
	require.NoError(t, err)
	var here strings.Builder
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "envoy ") {
			here.WriteString(line)
		}
	}
	envs, err := manifests.All(filepath.Join(root, "manifests"))
	require.NoError(t, err)
	for _, env := range envs {
		pins, err := env.Pins()
		require.NoError(t, err)
		for _, f := range filters(t) {
			if !strings.HasPrefix(pins[f.Name].Repo, unpublished) {
				continue
			}
			img, err := image.Build(module(t, root, f.Name), f, image.Artifact)
			require.NoError(t, err)
			digest, err := img.Digest()
			require.NoError(t, err)
			if here.String() != toolchain && pins[f.Name].Digest != digest.String() {
				t.Logf("%s pins %s, this tree builds %s; the toolchain is another one:\n%s", env.Name, pins[f.Name], digest, &here)
				continue
			}
			require.Equal(t, digest.String(), pins[f.Name].Digest, `%s pins another %s. run "make pins"`, env.Name, f.Name)
		}
	}
}
