// Package envoy tests in a real Envoy what holds for every filter. A filter's own tests of this kind stand beside it.
//
// short_test.go has the sizes for every "make test", soak_test.go those for "make soak".
package envoy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/preflight"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

const root = "../.."

const oauth = `{token: {json: /access_token}, lifetime: {json: /expires_in}}`

var (
	tokens = map[string]http.Handler{"token.internal:80": sandbox.Tokens}
	down   = map[string]http.Handler{"token.internal:80": nil}
)

func addheader(t *testing.T, config string) sandbox.Filter {
	return envoytest.Filter(t, "addheader", config)
}

func jwtfetch(t *testing.T, config string) sandbox.Filter {
	return envoytest.Filter(t, "jwtfetch", "{upstream: {host: token.internal, port: 80}, request: {path: /auth}, "+strings.TrimPrefix(config, "{"))
}

func denied(a envoytest.Answer) error {
	if a.StatusCode != http.StatusServiceUnavailable {
		return fmt.Errorf("want 503, got %d: %s", a.StatusCode, a.Text)
	}
	return nil
}

func findEnvoy(t *testing.T) string {
	t.Helper()
	envoy, err := preflight.FindEnvoy()
	require.NoError(t, err)
	return envoy
}
