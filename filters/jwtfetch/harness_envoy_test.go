//go:build envoy

package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// tokenService is where the filters of these tests fetch.
const tokenService = "token.internal:80"

// jwtfetch is the compiled filter with a configuration in YAML, fetching from the token service.
func jwtfetch(t *testing.T, config string) sandbox.Filter {
	t.Helper()
	return envoytest.Filter(t, "jwtfetch", "{hosts: ['*'], upstream: {host: token.internal, port: 80}, request: {path: /auth}, "+strings.TrimPrefix(config, "{"))
}

// start is envoytest.Start with a token service that gives good tokens, if the setup does not bring one.
func start(t *testing.T, s envoytest.Setup) *envoytest.Proxy {
	t.Helper()
	if s.Services == nil {
		s.Services = tokens(sandbox.Tokens)
	}
	return envoytest.Start(t, s)
}

// tokens are the services of a setup whose token service is h.
func tokens(h http.HandlerFunc) map[string]http.Handler {
	return map[string]http.Handler{tokenService: h}
}

// down are the services of a setup where nobody listens at the token service's address.
var down = map[string]http.Handler{tokenService: nil}

// denied wants exactly the filter's answer to a request without a token.
func denied(a envoytest.Answer) error {
	if a.StatusCode != http.StatusServiceUnavailable || a.Text != "jwtfetch: there is no valid token for this request\n" {
		return fmt.Errorf("want jwtfetch's 503, got %d: %s", a.StatusCode, a.Text)
	}
	return nil
}

// adminPage is what Envoy's admin interface has at a path.
func adminPage(p *envoytest.Proxy, path string) string {
	p.T.Helper()
	r, err := envoytest.Get(p.T.Context(), p.Admin()+path)
	require.NoError(p.T, err)
	require.Equal(p.T, http.StatusOK, r.Status, r.Body)
	return r.Body
}
