package review

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/image"
)

type noModules struct{}

// Get implements Modules.
func (noModules) Get(context.Context, image.Ref) ([]byte, error) { return nil, errors.New("none here") }

// One object in two namespaces is two: each has its chain and its image.
func TestNamespaces(t *testing.T) {
	object := func(namespace, digit, priority string) []byte {
		return []byte("apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: demo, namespace: " + namespace +
			"}\nspec: {url: 'oci://r.example/demo@sha256:" + strings.Repeat(digit, 64) + "', phase: STATS, priority: " + priority + "}\n")
	}
	before := map[string][]byte{"a.yaml": object("a", "1", "1"), "b.yaml": object("b", "1", "1")}
	after := map[string][]byte{"a.yaml": object("a", "2", "1"), "b.yaml": object("b", "3", "7")}
	c, err := compare(t.Context(), noModules{}, before, after)
	require.NoError(t, err)
	require.Len(t, c.Images, 2)
	require.Equal(t, "a/demo", c.Images[0].Filter)
	require.Equal(t, []Chain{
		{"a", []string{"demo (STATS 1)"}, []string{"demo (STATS 1)"}},
		{"b", []string{"demo (STATS 1)"}, []string{"demo (STATS 7)"}},
	}, c.Chains)
	var text, markdown bytes.Buffer
	Text(&text, []Change{c})
	require.Contains(t, text.String(), "  chain of b   before: demo (STATS 1)\n          after:  demo (STATS 7)\n")
	require.NotContains(t, text.String(), "chain of a")
	Markdown(&markdown, []Change{c})
	require.Contains(t, markdown.String(), `subgraph before2["before of b"]`)
}
