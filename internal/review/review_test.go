package review

import (
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/modules"
)

// A pin that moves shows what is in the two images, from the registry.
func TestCompareModules(t *testing.T) {
	server := httptest.NewServer(registry.New())
	defer server.Close()
	repo := strings.TrimPrefix(server.URL, "http://") + "/team/demo"
	var urls []string
	for _, file := range []string{"fussy.wasm", "missingimport.wasm"} {
		module, err := os.ReadFile("../../test/preflight/testdata/" + file)
		require.NoError(t, err)
		img, err := image.Build(module, catalog.Filter{Name: "demo"}, image.Artifact)
		require.NoError(t, err)
		digest, err := img.Digest()
		require.NoError(t, err)
		ref, err := name.NewTag(repo + ":v1")
		require.NoError(t, err)
		require.NoError(t, remote.Write(ref, img, remote.WithTransport(remote.DefaultTransport)))
		urls = append(urls, repo+":v1@"+digest.String())
	}
	source := modules.New(modules.Options{}, func(string, ...any) {})
	notes := strings.Join(compareModules(t.Context(), source, urls[0], urls[1]), "\n")
	require.Regexp(t, `^size \d+ → \d+ bytes \([+-]\d+\)\n`, notes)
	require.Contains(t, notes, "imports +env.strlen")
	require.Equal(t, []string{"the module after is not known"}, compareModules(t.Context(), source, urls[0], repo+":v1@sha256:"+strings.Repeat("0", 64)))
}
