package envoy

import (
	"fmt"
	"net/http"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
)

func TestAddheaderOnEveryResponse(t *testing.T) {
	p := start(t, setup{
		filters: chain(addheader(t, `{name: hello, value: world}`)),
		noToken: true,
		routes:  []*routev3.Route{envoy.DirectResponse("/direct", 200, "from Envoy"), envoy.Route("/nowhere", tokenCluster)},
	})
	for _, tc := range []struct {
		path   string
		status int
	}{
		{"/", 200},
		{"/status/204", 204},
		{"/status/404", 404},
		{"/status/500", 500},
		{"/direct", 200},
		{"/nowhere", 503}, // Envoy's own answer
	} {
		t.Run(tc.path, func(t *testing.T) {
			got := p.get(tc.path)
			require.Equal(t, tc.status, got.status)
			require.Equal(t, []string{"world"}, got.header.Values("hello"))
		})
	}
	p.neverTrapped()
}

// The configuration reaches the filter in the bytes that istiod makes: a value with <, > and & arrives as it was written.
func TestAddheaderGetsTheExactValue(t *testing.T) {
	value := `a<b>&"c"\ ;=`
	p := start(t, setup{filters: chain(addheader(t, fmt.Sprintf("{name: hello, value: %q}", value)))})
	require.Equal(t, value, p.get("/").header.Get("hello"))
}

func TestAddheaderReplacesTheUpstreamsHeader(t *testing.T) {
	p := start(t, setup{
		filters: chain(addheader(t, `{name: hello, value: world}`)),
		backend: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("hello", "upstream") }),
	})
	require.Equal(t, []string{"world"}, p.get("/").header.Values("hello"))
}

func TestRefusedVersionChangesNothing(t *testing.T) {
	good := addheader(t, `{name: hello, value: world}`)
	p := start(t, setup{filters: chain(good)})

	reason := p.refuses(addheader(t, `{name: hello, valu: world}`))
	require.Equal(t, `addheader: parsing plugin configuration: /valu: unknown field. known fields are "name" and "value"`, reason)
	require.Equal(t, "world", p.get("/").header.Get("hello"))

	broken := good
	broken.Module = good.Module[:len(good.Module)/2]
	require.Contains(t, p.refuses(broken), "corrupted Wasm module")
	require.Equal(t, "world", p.get("/").header.Get("hello"))

	p.apply(addheader(t, `{name: hello, value: again}`))
	require.Equal(t, "again", p.get("/").header.Get("hello"))
}
