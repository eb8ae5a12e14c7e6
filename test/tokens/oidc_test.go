// Package tokens holds jwtfetch against a real OpenID provider: the certified one of zitadel/oidc, which nothing else here depends on.
package tokens

import (
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

const (
	issuer = "http://token.internal"
	// The provider's example knows this client, which may ask for client credentials.
	client, secret = "sid1", "verysecret"
)

// With Basic and with a form the provider gives a token, which reaches the upstream.
func TestOpenIDProvider(t *testing.T) {
	for _, method := range []string{"basic", "form"} {
		t.Run(method, func(t *testing.T) {
			t.Setenv("CLIENT_SECRET", secret)
			p := start(t, method)
			got := p.WhenServing().Upstream(t).Headers["authorization"]
			token, ok := strings.CutPrefix(got, "Bearer ")
			require.True(t, ok, got)
			subject, err := read(token)
			require.NoError(t, err, "the provider knows its token")
			require.Equal(t, client, subject)
			p.NeverTrapped()
		})
	}
}

// With a wrong secret nobody gets through; the log has OAuth's code, and neither secret nor description.
func TestWrongSecret(t *testing.T) {
	for _, method := range []string{"basic", "form"} {
		t.Run(method, func(t *testing.T) {
			t.Setenv("CLIENT_SECRET", "wr0ng-s3cret")
			p := start(t, method)
			p.Logs(": fetching token: want status 2xx, got ")
			require.Equal(t, http.StatusServiceUnavailable, p.Get("/").Status)
			require.Regexp(t, `got [45]\d\d, error [a-z_]+, next fetch`, p.Logged()) // this provider says server_error
			require.NotContains(t, p.Logged(), "s3cret")
			p.NeverTrapped()
		})
	}
}

func start(t *testing.T, method string) *envoytest.Proxy {
	t.Helper()
	idp := exampleop.SetupServer(issuer, storage.NewStorage(storage.NewUserStore(issuer)), slog.New(slog.DiscardHandler), true)
	plugins, err := plugin.Plugins(map[string][]byte{"jwtfetch.yaml": fmt.Appendf(nil, `
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: jwtfetch, namespace: test}
spec:
  url: filter://jwtfetch
  pluginName: jwtfetch
  failStrategy: FAIL_RELOAD
  vmConfig: {env: [{name: CLIENT_SECRET, valueFrom: HOST}]}
  pluginConfig:
    hosts: [backend.internal]
    upstream: {host: token.internal, port: 80}
    clientAuth: {method: %s, id: %s, secretEnv: CLIENT_SECRET}
    request:
      method: POST
      path: /oauth/token
      headers: {content-type: application/x-www-form-urlencoded}
      body: grant_type=client_credentials&scope=openid
    token: {json: /access_token}
    lifetime: {json: /expires_in}
`, method, client)})
	require.NoError(t, err)
	return envoytest.Start(t, envoytest.Setup{
		Filters:  envoytest.Chain(sandbox.Filter{Plugin: plugins[0], Module: envoytest.Module(t, "jwtfetch")}),
		Services: map[string]http.Handler{"token.internal:80": idp},
	})
}

// read is who the provider says a token is for: its tokens are encrypted with its key.
func read(token string) (string, error) {
	text, err := op.NewAES256GCMCrypto(sha256.Sum256([]byte("test")), "key1").Decrypt(token)
	_, subject, _ := strings.Cut(text, ":")
	return subject, err
}
