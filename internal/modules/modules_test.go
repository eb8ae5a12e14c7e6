package modules_test

import (
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/modules"
)

func TestModules(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	module, err := os.ReadFile("../wasmfile/testdata/lint/ok.wasm")
	require.NoError(t, err)
	filters := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(filters, "demo"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(filters, "demo", catalog.File), []byte("name: demo\ntitle: t\ndescription: d\nphases: [AUTHN]\n"), 0o644))
	filter, err := catalog.Find(filters, "demo")
	require.NoError(t, err)
	img, digest := build(t, module, filter, image.Artifact)
	_, compat := build(t, module, filter, image.Compat)
	tag, err := name.NewTag(host + "/has/demo:v1")
	require.NoError(t, err)
	require.NoError(t, remote.Write(tag, img))
	other := "sha256:" + strings.Repeat("0", 64)

	for _, tc := range []struct {
		name, repo, digest string
		built              []byte
		said, err          string
	}{
		{name: "in the registry", repo: host + "/has/demo", digest: digest},
		{name: "in the registry and another in build", repo: host + "/has/demo", digest: digest, built: []byte("another")},
		{name: "only in build", repo: host + "/hasnot/demo", digest: digest, built: module,
			said: `demo: pulling it failed \(.*NAME_UNKNOWN.*\)\. .*demo\.wasm is the pinned image and is used instead`},
		{name: "only in build, pinned in the compat form", repo: host + "/hasnot/demo", digest: compat, built: module,
			said: `demo: pulling it failed .* is used instead`},
		{name: "registry is down, in build", repo: "127.0.0.1:1/demo", digest: digest, built: module,
			said: `demo: pulling it failed \(dial tcp 127\.0\.0\.1:1: .*\)\. .* is used instead`},
		{name: "nowhere", repo: host + "/has/demo", digest: other,
			err: `/has/demo@sha256:0+: pulling failed \(.*MANIFEST_UNKNOWN.*\), and no build to use instead \(.*no such file.*\)\. run "make publish FILTER=demo" or "make build FILTER=demo"$`},
		{name: "another in build", repo: host + "/has/demo", digest: other, built: module,
			err: `pulling failed \(.*\), and .*demo\.wasm is another image \(` + digest + `\)\. run "make publish FILTER=demo", or "make build FILTER=demo" at the revision of the pin$`},
		{name: "no module in build", repo: host + "/has/demo", digest: other, built: []byte("text"),
			err: `no build to use instead \(.*demo\.wasm: not a wasm module`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			build := t.TempDir()
			if tc.built != nil {
				require.NoError(t, os.WriteFile(filepath.Join(build, "demo.wasm"), tc.built, 0o644))
			}
			var said string
			m := modules.New(modules.Options{Build: build, Filters: filters}, func(format string, args ...any) { said += fmt.Sprintf(format, args...) })
			got, err := m.Get(t.Context(), image.Ref{Repo: tc.repo, Digest: tc.digest})
			if tc.err != "" {
				var missing *modules.Missing
				require.ErrorAs(t, err, &missing)
				require.Regexp(t, tc.err, err.Error())
				return
			}
			require.NoError(t, err)
			require.Equal(t, module, got)
			require.Regexp(t, "^"+tc.said+"$", said)
		})
	}
}

func build(t *testing.T, module []byte, filter catalog.Filter, form image.Form) (v1.Image, string) {
	t.Helper()
	image, err := image.Build(module, filter, form)
	require.NoError(t, err)
	digest, err := image.Digest()
	require.NoError(t, err)
	return image, digest.String()
}
