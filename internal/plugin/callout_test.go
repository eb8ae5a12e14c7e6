package plugin

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
)

// A callout's JSON pointer is one of RFC 6901: ~1 is a slash, ~0 a tilde, and a number an element of a list.
func TestUpstream(t *testing.T) {
	plugins, err := Plugins(map[string][]byte{"x.yaml": []byte(object("a", `pluginConfig: {a: {b/c: {~d: [1, {host: h.example, port: 80}]}}, "": {cluster: c}, bad: {host: h}}`))})
	require.NoError(t, err)
	for pointer, want := range map[string]Upstream{
		"/a/b~1c/~0d/1":  {Host: "h.example", Port: 80, Cluster: "outbound|80||h.example", Field: []string{"pluginConfig", "a", "b/c", "~d", "1"}},
		"/":              {Cluster: "c", Field: []string{"pluginConfig", ""}},
		"/x":             {Field: []string{"pluginConfig", "x"}},
		"/a/b~1c/~0d/2":  {Field: []string{"pluginConfig", "a", "b/c", "~d", "2"}},
		"/a/b~1c/~0d/-":  {Field: []string{"pluginConfig", "a", "b/c", "~d", "-"}},
		"/a/b~1c/~0d/01": {Field: []string{"pluginConfig", "a", "b/c", "~d", "01"}},
	} {
		require.Equal(t, want, plugins[0].Upstream(catalog.Callout{Upstream: pointer}), pointer)
	}
	require.ErrorContains(t, plugins[0].Upstream(catalog.Callout{Upstream: "/bad"}).Err, "want host and port of the upstream, or its cluster")
}
