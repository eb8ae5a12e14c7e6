package main

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// environment has the values that variables have in these tests.
func environment(name string) string {
	return map[string]string{
		"SECRET":  "s3cr+t/&=%ä \n", // as an editor leaves it
		"TOKEN":   "abc",
		"NEWLINE": "a\r\nx-admin: 1",
		"BLANK":   " \n",
		"DOLLAR":  "${TOKEN}",
	}[name]
}

// asking returns a configuration whose request has these parts.
func asking(t *testing.T, clientAuth, request string) *config {
	t.Helper()
	c, err := parseConfig([]byte(`{"hosts":["*"],"upstream":{"host":"token.internal","port":80},` + clientAuth +
		`"request":{"method":"POST","path":"/token"` + request + `},"token":{"json":"/access_token"},"lifetime":{"json":"/expires_in"}}`))
	require.NoError(t, err)
	return &c
}

func TestOutgoing(t *testing.T) {
	t.Parallel()
	const (
		basic = `"clientAuth":{"method":"basic","id":"my app:1","secretEnv":"SECRET"},`
		form  = `"clientAuth":{"method":"form","id":"my app:1","secretEnv":"SECRET"},`
		type1 = "application/x-www-form-urlencoded"
	)
	secret := url.QueryEscape(strings.TrimSpace(environment("SECRET")))
	tests := []struct {
		name, clientAuth, request string
		headers                   [][2]string
		body                      string
	}{
		{"nothing", "", "", nil, ""},
		{"as it is", "", `,"headers":{"x":"$1 $$"},"body":"$a=b"`, [][2]string{{"x", "$1 $$"}}, "$a=b"},
		{"variables", "", `,"headers":{"authorization":"Bearer ${TOKEN}"},"body":"${TOKEN}${TOKEN}, $${TOKEN}"`, [][2]string{{"authorization", "Bearer abc"}}, "abcabc, $abc"},
		{"a value is not read again", "", `,"body":"${DOLLAR}"`, nil, "${TOKEN}"},
		{"basic", basic, `,"body":"a=b"`, [][2]string{{"authorization", "Basic bXkrYXBwJTNBMTpzM2NyJTJCdCUyRiUyNiUzRCUyNSVDMyVBNA=="}}, "a=b"},
		{"form", form, `,"body":"a=b"`, [][2]string{{"content-type", type1}}, "a=b&client_id=my+app%3A1&client_secret=" + secret},
		{"form alone", form, "", [][2]string{{"content-type", type1}}, "client_id=my+app%3A1&client_secret=" + secret},
		{"form with its own type", form, `,"headers":{"Content-Type":"x/y"}`, [][2]string{{"content-type", "x/y"}}, "client_id=my+app%3A1&client_secret=" + secret},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			headers, body, failed := asking(t, tt.clientAuth, tt.request).outgoing(environment)
			require.Nil(t, failed)
			require.Equal(t, tt.headers, headers)
			require.Equal(t, tt.body, string(body))
		})
	}
}

func TestOutgoingFails(t *testing.T) {
	t.Parallel()
	missing := func(name string) failure {
		return failure{reason: noSecret, variable: name, text: `the environment of the filter has no variable "` + name +
			`". it comes from vmConfig.env of the plugin and the environment of the istio-proxy container`}
	}
	tests := []struct {
		name, clientAuth, request string
		want                      failure
	}{
		{"in a header", "", `,"headers":{"x":"${NONE}"},"body":"${NONE2}"`, missing("NONE")},
		{"in the body", "", `,"headers":{"x":"${TOKEN}"},"body":"${TOKEN}${NONE2}"`, missing("NONE2")},
		{"basic", `"clientAuth":{"method":"basic","id":"a","secretEnv":"NONE"},`, "", missing("NONE")},
		{"form", `"clientAuth":{"method":"form","id":"a","secretEnv":"NONE"},`, "", missing("NONE")},
		{"blank", "", `,"body":"${BLANK}"`, missing("BLANK")},
		{
			"line break in a header", "", `,"headers":{"x":"${NEWLINE}"}`,
			failure{reason: noSecret, text: "the value of the request's header x, with its variables, is none: want printable ASCII, byte 1 is not"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, failed := asking(t, tt.clientAuth, tt.request).outgoing(environment)
			require.Equal(t, &tt.want, failed)
		})
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	got, err := url.QueryUnescape(escape(string(all)))
	require.NoError(t, err)
	require.Equal(t, string(all), got)
	require.Equal(t, "aZ09-._~*", escape("aZ09-._~*"))
}
