package main

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/filters/internal/plugintest"
)

func TestConfig(t *testing.T) {
	const bounds = "the bounds of a duration depend on its unit"
	plugintest.Config(t, parse, map[string]string{
		"body-too-many-bytes":            "a schema counts characters",
		"client-basic-and-header":        "a schema would need conditions on names in any case",
		"client-form-get":                "a schema would need conditions",
		"duplicate-name":                 "a schema sees the document after its duplicate names were merged",
		"lifetime-fixed-too-long":        bounds,
		"lifetime-fixed-zero":            bounds,
		"margin-zero":                    bounds,
		"port-float":                     "to a schema 80.0 is an integer",
		"refresh-too-short":              bounds,
		"request-header-host-upper-case": "the schema's enum compares with the case",
		"request-header-twice":           "to a schema names that differ in case are different",
		"timeout-too-long":               bounds,
		"timeout-zero":                   bounds,
	})
}

func FuzzParseConfig(f *testing.F) { plugintest.FuzzConfig(f, parse) }

func parse(data []byte) error {
	_, err := parseConfig(data)
	return err
}

func TestParseConfigDefaults(t *testing.T) {
	t.Parallel()
	got, err := parseConfig([]byte(example))
	require.NoError(t, err)

	var want config
	want.hosts = []string{"api.example.com"}
	want.upstream.host = "token.internal"
	want.upstream.port = 80
	want.upstream.cluster = "outbound|80||token.internal"
	want.request.method = "GET"
	want.request.path = "/token"
	want.request.timeout = 2 * time.Second
	want.token.json = "/access_token"
	want.token.maxBytes = usualToken
	want.lifetime.json = "/expires_in"
	want.header = "authorization"
	want.prefix = "Bearer "
	want.onMissing = deny
	want.share = true
	require.Equal(t, want, got)
}

func TestParseConfigEverything(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/config/ok/everything.json")
	require.NoError(t, err)
	got, err := parseConfig(data)
	require.NoError(t, err)

	var want config
	want.hosts = []string{"api.example.com", "*.example.net"}
	want.paths = []string{"/v1/*"}
	want.clientAuth.method = "form"
	want.clientAuth.id = "me"
	want.clientAuth.secretEnv = "CLIENT_SECRET"
	want.upstream.host = "a"
	want.upstream.port = 65535
	want.upstream.cluster = "xds_cluster|v2"
	want.request.method = "POST"
	want.request.path = "/t?a=b%20c&d=[e]"
	want.request.headers = [][2]string{{"x-client", "me"}, {"accept", "*/*"}, {"x-empty", ""}}
	want.request.timeout = time.Minute
	want.token.header = "x-token"
	want.token.maxBytes = 100
	want.lifetime.json = "/a"
	want.lifetime.jsonTime = "/b"
	want.lifetime.jwt = true
	want.lifetime.fixed = time.Second
	want.margin = time.Minute
	want.refresh = 720 * time.Hour
	want.header = "x-upstream-auth"
	want.onMissing = deny
	want.expose.header = "x-auth"
	want.expose.prefix = "Bearer "
	require.Equal(t, want, got)
}
