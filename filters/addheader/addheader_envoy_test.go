//go:build envoy

package main_test

import (
	"fmt"
	"net/http"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// nowhere is a service that is down.
const nowhere = "nowhere.internal:80"

func addheader(t *testing.T, config string) sandbox.Filter {
	t.Helper()
	return envoytest.Filter(t, "addheader", config)
}

func TestAddheaderOnEveryResponse(t *testing.T) {
	p := envoytest.Start(t, envoytest.Setup{
		Filters:  envoytest.Chain(addheader(t, `{name: hello, value: world}`)),
		Services: map[string]http.Handler{nowhere: nil},
		Routes:   []*routev3.Route{envoy.DirectResponse("/direct", 200, "from Envoy"), envoy.Route("/nowhere", envoytest.Cluster(t, nowhere))},
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
			got := p.Get(tc.path)
			require.Equal(t, tc.status, got.Status)
			require.Equal(t, []string{"world"}, got.Header.Values("hello"))
		})
	}
	p.NeverTrapped()
}

// The configuration reaches the filter in the bytes that istiod makes: a value with <, > and & arrives as it was written.
func TestAddheaderGetsTheExactValue(t *testing.T) {
	value := `a<b>&"c"\ ;=`
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(addheader(t, fmt.Sprintf("{name: hello, value: %q}", value)))})
	require.Equal(t, value, p.Get("/").Header.Get("hello"))
}

func TestAddheaderReplacesTheUpstreamsHeader(t *testing.T) {
	p := envoytest.Start(t, envoytest.Setup{
		Filters: envoytest.Chain(addheader(t, `{name: hello, value: world}`)),
		Backend: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("hello", "upstream") }),
	})
	require.Equal(t, []string{"world"}, p.Get("/").Header.Values("hello"))
}

func TestRefusedVersionChangesNothing(t *testing.T) {
	good := addheader(t, `{name: hello, value: world}`)
	p := envoytest.Start(t, envoytest.Setup{Filters: envoytest.Chain(good)})

	reason := p.Refuses(addheader(t, `{name: hello, valu: world}`))
	require.Equal(t, `addheader: parsing plugin configuration: /valu: unknown field. known fields are "name" and "value"`, reason)
	require.Equal(t, "world", p.Get("/").Header.Get("hello"))

	broken := good
	broken.Module = good.Module[:len(good.Module)/2]
	require.Contains(t, p.Refuses(broken), "corrupted Wasm module")
	require.Equal(t, "world", p.Get("/").Header.Get("hello"))

	p.Switch(addheader(t, `{name: hello, value: again}`))
	require.Equal(t, "again", p.Get("/").Header.Get("hello"))
}
