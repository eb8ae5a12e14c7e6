package reproduce_test

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/attest"
	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/tools/reproduce"
)

const (
	digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	tree   = `
-- filters/demo/plugin.yaml --
name: demo
title: Demo
description: A demo.
phases: [STATS]
-- filters/idle/plugin.yaml --
name: idle
title: Idle
description: Nobody pins it.
phases: [STATS]
-- manifests/overlays/one/environment.yaml --
upstream: none
istio: "1.31"
-- manifests/overlays/one/digests/kustomization.yaml --
images:
- {name: "filter://demo", newName: "oci://HOST/demo", newTag: v1, digest: DIGEST}
-- manifests/overlays/two/environment.yaml --
upstream: one
istio: "1.31"
-- manifests/overlays/two/digests/kustomization.yaml --
images:
- {name: "filter://demo", newName: "oci://HOST/demo", newTag: v0, digest: ` + digest + `}
`
)

// module has one function, run, whose body has a byte of its own.
func module(body byte) []byte {
	return []byte("\x00asm\x01\x00\x00\x00\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x07\x07\x01\x03run\x00\x00\x0a\x05\x01\x03\x00" + string(rune(body)) + "\x0b")
}

// fleet is a tree whose first environment pins an image of module(1), and the image.
func fleet(t *testing.T) (dir string, at name.Digest) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true)))
	t.Cleanup(server.Close)
	img, err := image.Build(module(1), catalog.Filter{Name: "demo", Title: "Demo"}, image.Compat)
	require.NoError(t, err)
	at = push(t, strings.TrimPrefix(server.URL, "http://")+"/demo", img)
	dir = t.TempDir()
	files := strings.NewReplacer("HOST", at.RegistryStr(), "DIGEST", at.DigestStr()).Replace(tree)
	for _, f := range txtar.Parse([]byte(files)).Files {
		file := filepath.Join(dir, f.Name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, f.Data, 0o644))
	}
	build(t, dir, module(1))
	return dir, at
}

func push(t *testing.T, repo string, img v1.Image) name.Digest {
	t.Helper()
	sum, err := img.Digest()
	require.NoError(t, err)
	at, err := name.NewDigest(repo + "@" + sum.String())
	require.NoError(t, err)
	require.NoError(t, remote.Write(at, img))
	return at
}

func build(t *testing.T, dir string, module []byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "build"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "build", "demo.wasm"), module, 0o644))
}

func run(dir string, args ...string) (code int, stdout, stderr string) {
	var out, talk bytes.Buffer
	args = append(args, "--build", filepath.Join(dir, "build"), "--filters", filepath.Join(dir, "filters"), "--dir", filepath.Join(dir, "manifests"))
	code = reproduce.Command().Main(args, &out, &talk)
	return code, out.String(), talk.String()
}

func TestEqual(t *testing.T) {
	dir, at := fleet(t)
	code, stdout, stderr := run(dir, "demo")
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Contains(t, stdout, at.DigestStr(), "the pin of the environment where images enter")
	require.True(t, strings.HasSuffix(stdout, "\nequal\n"), stdout)
	require.NotContains(t, stdout, "commit")
	require.Empty(t, stderr)

	code, again, _ := run(dir, "demo", "--ref", "oci://"+at.String())
	require.Equal(t, cli.ExitOK, code)
	require.Equal(t, strings.ReplaceAll(stdout, ":v1@", "@"), again)
}

func TestDiffers(t *testing.T) {
	dir, _ := fleet(t)
	build(t, dir, module(2))
	code, stdout, stderr := run(dir, "demo")
	require.Equal(t, cli.ExitFindings, code)
	require.Contains(t, stdout, "differs    after 1 equal bytes of\nbuilt      code function 0 (run): offset 31, 3 bytes\npublished  code function 0 (run): offset 31, 3 bytes\n")
	require.NotContains(t, stdout, "equal\n")
	require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	require.Contains(t, stderr, "is not the module of")
}

func TestRefuses(t *testing.T) {
	dir, at := fleet(t)
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: empty.Image})
	sum, err := index.Digest()
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(at.Context().Digest(sum.String()), index))
	down := httptest.NewServer(nil)
	down.Close()
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no filter":       {nil, cli.ExitUsage, "want one filter"},
		"unknown":         {[]string{"nobody"}, cli.ExitUsage, `unknown filter "nobody"`},
		"tag":             {[]string{"demo", "--ref", at.Context().Tag("v1").String()}, cli.ExitUsage, "has no digest"},
		"no pin":          {[]string{"idle"}, cli.ExitUsage, `pins "idle". say which image: --ref`},
		"not built":       {[]string{"idle", "--ref", at.String()}, cli.ExitFailure, "make build FILTER=idle"},
		"no such image":   {[]string{"demo", "--ref", at.Context().Digest(digest).String()}, cli.ExitFailure, "answers 404"},
		"registry down":   {[]string{"demo", "--ref", strings.TrimPrefix(down.URL, "http://") + "/demo@" + digest}, cli.ExitFailure, "is the registry up?"},
		"index":           {[]string{"demo", "--ref", at.Context().Digest(sum.String()).String()}, cli.ExitFindings, "image index"},
		"no time":         {[]string{"demo", "--timeout", "1ns"}, cli.ExitFailure, "--timeout sets that"},
		"no certificates": {[]string{"demo", "--ca-file", filepath.Join(dir, "none")}, cli.ExitUsage, "--ca-file"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := run(dir, c.args...)
			require.Equal(t, c.code, code, stderr)
			require.Contains(t, stderr, c.want)
			require.Empty(t, stdout)
			lines := 1
			if c.code == cli.ExitUsage {
				lines = 2 // with a pointer to -h
			}
			require.Equal(t, lines, strings.Count(stderr, "\n"), stderr)
		})
	}
}

// Two environments where images enter may pin two: which is meant is asked.
func TestTwoPins(t *testing.T) {
	dir, _ := fleet(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "manifests/overlays/two/environment.yaml"), []byte("upstream: none\nistio: \"1.31\"\n"), 0o644))
	code, _, stderr := run(dir, "demo")
	require.Equal(t, cli.ExitUsage, code)
	require.Contains(t, stderr, "say which: --ref")
}

// The commit is that of the image's provenance, a hint says when another is checked out, and a provenance of another image says nothing.
func TestCommit(t *testing.T) {
	dir, at := fleet(t)
	t.Setenv("COSIGN_PASSWORD", "pw")
	key, err := attest.LoadKey("../../internal/attest/testdata/cosign/cosign.key")
	require.NoError(t, err)
	git := func(args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=t", "GIT_AUTHOR_EMAIL=t@localhost", "GIT_COMMITTER_NAME=t", "GIT_COMMITTER_EMAIL=t@localhost")
		out, err := cmd.Output()
		require.NoError(t, err)
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-qm", "all")
	head := git("rev-parse", "HEAD")
	attach := func(about, commit string, uncommitted bool) {
		said := `{"buildDefinition":{"externalParameters":{"uncommitted":false},"resolvedDependencies":[{"name":"go.sum","digest":{"sha256":"00"}},{"digest":{"gitCommit":"` + commit + `"}}]}}`
		if uncommitted {
			said = strings.Replace(said, "false", "true", 1)
		}
		b, err := key.Sign(t.Context(), attest.NewStatement(about, attest.Provenance, []byte(said)))
		require.NoError(t, err)
		require.NoError(t, attest.Attach(t.Context(), at, [][]byte{b}))
	}
	attach(digest, "0000000000000000000000000000000000000000", false)
	code, stdout, stderr := run(dir, "demo")
	require.Equal(t, cli.ExitOK, code, stderr)
	require.NotContains(t, stdout, "commit")

	attach(at.DigestStr(), "1111111111111111111111111111111111111111", true)
	code, stdout, stderr = run(dir, "demo")
	require.Equal(t, cli.ExitOK, code, stderr)
	require.Contains(t, stdout, "\ncommit     1111111111111111111111111111111111111111, as its provenance says, with changes that were not committed\n")
	require.Equal(t, "reproduce: this is commit "+head+". for the image's: git checkout 1111111111111111111111111111111111111111\n", stderr)

	attach(at.DigestStr(), head, false)
	code, stdout, stderr = run(dir, "demo")
	require.Equal(t, cli.ExitOK, code)
	require.Contains(t, stdout, "\ncommit     "+head+", as its provenance says\n")
	require.Empty(t, stderr)
}
