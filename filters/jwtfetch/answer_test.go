package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	asked    = instant(1_700_000_000_000)
	answered = asked + 50
)

// configWith returns a configuration with these values of "token" and "lifetime".
func configWith(t testing.TB, token, lifetime string) *config {
	t.Helper()
	c, err := parseConfig([]byte(`{"upstream":{"host":"token.internal","port":80},"request":{"path":"/token"},` +
		`"token":` + token + `,"lifetime":` + lifetime + `}`))
	require.NoError(t, err)
	return &c
}

const (
	inHeader = `{"header":"authorization"}`
	inBody   = `{"json":"/access_token"}`
	byJWT    = `{"jwt":true}`
	byBody   = `{"json":"/expires_in"}`
	fixed    = `{"fixed":"300s"}`
)

func headers(status string, more ...[2]string) [][2]string {
	return append([][2]string{{":status", status}, {"content-type", "application/json"}}, more...)
}

func withBody(body string) answer { return answer{headers("200"), []byte(body), len(body)} }

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	const in300s = asked + 300_000 - 1000
	long := jwt(`{"exp":1700000300,"pad":"` + strings.Repeat("x", 6000) + `"}`)
	tests := []struct {
		name            string
		token, lifetime string
		answer          answer
		want            token
	}{
		{
			"header, fixed", inHeader, fixed,
			answer{headers: headers("200", [2]string{"authorization", "Bearer abc"})},
			token{"abc", asked, in300s},
		},
		{
			"header, JWT", inHeader, byJWT,
			answer{headers: headers("200", [2]string{"authorization", long})},
			token{long, asked, in300s},
		},
		{
			"header, lifetime in the body", inHeader, byBody,
			answer{headers("200", [2]string{"authorization", "abc"}), []byte(`{"expires_in":300}`), 18},
			token{"abc", asked, in300s},
		},
		{"body", inBody, byBody, withBody(`{"access_token":"abc","token_type":"Bearer","expires_in":300}`), token{"abc", asked, in300s}},
		{"lifetime as a string", inBody, byBody, withBody(`{"access_token":"abc","expires_in":"300"}`), token{"abc", asked, in300s}},
		{"lifetime with a fraction", inBody, byBody, withBody(`{"access_token":"abc","expires_in":300.25}`), token{"abc", asked, in300s}},
		{"lifetime of two seconds", inBody, byBody, withBody(`{"access_token":"abc","expires_in":2}`), token{"abc", asked, asked + 1800}},
		{"huge lifetime", inBody, byBody, withBody(`{"access_token":"abc","expires_in":99999999999999999999}`), token{"abc", asked, asked.add(maxLifetime - maxTransit)}},
		{"huge exp", inBody, byJWT, withBody(`{"access_token":"` + jwt(`{"exp":99999999999999999999}`) + `"}`), token{jwt(`{"exp":99999999999999999999}`), asked, asked.add(maxLifetime - maxTransit)}},
		{"pointer into arrays", `{"json":"/a~1b/1/c"}`, fixed, withBody(`{"a/b":[{"c":"no"},{"c":"abc"}],"c":"no"}`), token{"abc", asked, in300s}},
		{"escapes", inBody, fixed, withBody(`{"access\u005ftoken":"\u0061bc"}`), token{"abc", asked, in300s}},
		{"name that looks like the value", `{"json":"/a"}`, fixed, withBody(`{"b":"a","a":"abc"}`), token{"abc", asked, in300s}},
		{"value in the middle of others", `{"json":"/a/b"}`, fixed, withBody(`{"x":[[],{}],"a":{"c":{"b":"no"},"b":"abc"},"b":"no"}`), token{"abc", asked, in300s}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, failed := configWith(t, tt.token, tt.lifetime).readAnswer(tt.answer, asked, answered)
			require.Nil(t, failed)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestReadAnswerFails(t *testing.T) {
	t.Parallel()
	bad := "a token of %s bytes is too long, or not printable ASCII without spaces"
	size := func(n string) string { return strings.Replace(bad, "%s", n, 1) }
	tests := []struct {
		name            string
		token, lifetime string
		answer          answer
		want            failure
	}{
		{"nothing", inHeader, fixed, answer{}, failure{noAnswer, "no answer"}},
		{"headers without status", inHeader, fixed, answer{headers: [][2]string{{"authorization", "abc"}}}, failure{noAnswer, "no answer"}},
		{"401", inHeader, fixed, answer{headers: headers("401", [2]string{"authorization", "abc"})}, failure{badStatus, "want status 200, got 401"}},
		{"302", inHeader, fixed, answer{headers: headers("302")}, failure{badStatus, "want status 200, got 302"}},
		{"204", inHeader, fixed, answer{headers: headers("204")}, failure{badStatus, "want status 200, got 204"}},
		{"empty status", inHeader, fixed, answer{headers: headers("")}, failure{badStatus, "want status 200, got "}},
		{"body of 10 MiB", inBody, fixed, answer{headers("200"), make([]byte, maxBody), 10 << 20}, failure{tooLarge, "body of 10485760 bytes"}},
		{"body that the host did not give", inBody, fixed, answer{headers("200"), nil, 100}, failure{noToken, "reading the body: not a JSON document"}},
		{"no token header", inHeader, fixed, answer{headers: headers("200")}, failure{noToken, "no token in the answer"}},
		{"empty token header", inHeader, fixed, answer{headers: headers("200", [2]string{"authorization", ""})}, failure{noToken, "no token in the answer"}},
		{"token header twice", inHeader, fixed, answer{headers: headers("200", [2]string{"authorization", "a"}, [2]string{"authorization", "b"})}, failure{badToken, "the token's header came 2 times"}},
		{"token header of 1 MiB", inHeader, fixed, answer{headers: headers("200", [2]string{"authorization", strings.Repeat("a", 1<<20)})}, failure{badToken, size("1048576")}},
		{"token with zero byte", inHeader, fixed, answer{headers: headers("200", [2]string{"authorization", "a\x00b"})}, failure{badToken, size("3")}},
		{"token with line break", inBody, fixed, withBody(`{"access_token":"a\r\nx-admin: 1"}`), failure{badToken, size("13")}},
		{"token with space", inBody, fixed, withBody(`{"access_token":"a b"}`), failure{badToken, size("3")}},
		{"token not ASCII", inBody, fixed, withBody(`{"access_token":"ä"}`), failure{badToken, size("2")}},
		{"token is only a scheme", inBody, fixed, withBody(`{"access_token":"Bearer "}`), failure{badToken, size("7")}},
		{"empty body", inBody, fixed, withBody(``), failure{noToken, "reading the body: not a JSON document"}},
		{"blank body", inBody, fixed, withBody(" \n"), failure{noToken, "reading the body: not a JSON document"}},
		{"garbage", inBody, fixed, withBody("\xff\x00garbage"), failure{noToken, "reading the body: not a JSON document"}},
		{"cut", inBody, fixed, withBody(`{"access_token":"abc"`), failure{noToken, "reading the body: not a JSON document"}},
		{"two documents", inBody, fixed, withBody(`{"access_token":"abc"}{"access_token":"def"}`), failure{noToken, "reading the body: not a JSON document"}},
		{"token twice", inBody, fixed, withBody(`{"access_token":"abc","access_token":"def"}`), failure{noToken, "reading the body: not a JSON document"}},
		{"deep", inBody, fixed, withBody(strings.Repeat("[", maxBody)), failure{noToken, "reading the body: nested deeper than 16"}},
		{"token as number", inBody, fixed, withBody(`{"access_token":1}`), failure{noToken, "no token in the answer"}},
		{"token as object", inBody, fixed, withBody(`{"access_token":{"access_token":"abc"}}`), failure{noToken, "no token in the answer"}},
		{"token null", inBody, fixed, withBody(`{"access_token":null}`), failure{noToken, "no token in the answer"}},
		{"token empty", inBody, fixed, withBody(`{"access_token":""}`), failure{noToken, "no token in the answer"}},
		{"token only as a name", inBody, fixed, withBody(`{"x":"access_token"}`), failure{noToken, "no token in the answer"}},
		{"no lifetime", inBody, byBody, withBody(`{"access_token":"abc"}`), failure{noLifetime, "no number of seconds in the answer"}},
		{"lifetime negative", inBody, byBody, withBody(`{"access_token":"abc","expires_in":-1}`), failure{noLifetime, "no number of seconds in the answer"}},
		{"lifetime in words", inBody, byBody, withBody(`{"access_token":"abc","expires_in":"soon"}`), failure{noLifetime, "no number of seconds in the answer"}},
		{"lifetime zero", inBody, byBody, withBody(`{"access_token":"abc","expires_in":0}`), failure{noLifetime, "the token has expired"}},
		{"exp now", inBody, byJWT, withBody(`{"access_token":"` + jwt(`{"exp":1700000000}`) + `"}`), failure{noLifetime, "the token has expired"}},
		{"exp long ago", inBody, byJWT, withBody(`{"access_token":"` + jwt(`{"exp":1}`) + `"}`), failure{noLifetime, "the token has expired"}},
		{"not a JWT", inBody, byJWT, withBody(`{"access_token":"abc"}`), failure{noLifetime, "the token is no JWT with an exp"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, failed := configWith(t, tt.token, tt.lifetime).readAnswer(tt.answer, asked, answered)
			require.Equal(t, &tt.want, failed)
			require.Empty(t, got)
		})
	}
}

// FuzzTokenAnswer gives the same bytes as a header and as a body. What comes out as a token can be sent, and has a lifetime.
func FuzzTokenAnswer(f *testing.F) {
	for _, seed := range []string{
		``, `{`, `abc`, `Bearer abc`, "a\r\nb", `{"access_token":"abc","expires_in":300}`,
		`{"access_token":"abc","expires_in":"1e400"}`, `{"access_token":"\ud800"}`, `[[[[[[[[[[[[[[[[[[`,
		jwt(`{"exp":1700000300}`), jwt(`{"exp":1e400}`), `{"access_token":"` + jwt(`{"exp":99999999999999999999}`) + `"}`,
	} {
		f.Add(seed)
	}
	var configs []*config
	for _, where := range []string{inHeader, inBody} {
		for _, until := range []string{byJWT, byBody, fixed} {
			configs = append(configs, configWith(f, where, until))
		}
	}
	f.Fuzz(func(t *testing.T, data string) {
		a := answer{headers("200", [2]string{"authorization", data}), []byte(data), len(data)}
		for _, c := range configs {
			got, failed := c.readAnswer(a, asked, answered)
			if failed != nil {
				require.NotContains(t, failed.text, "\n")
				continue
			}
			require.True(t, isToken(got.value))
			require.Less(t, answered, got.expiry)
			require.LessOrEqual(t, got.expiry.sub(asked), maxLifetime)
			require.GreaterOrEqual(t, c.refreshAt(got, 0).sub(asked), time.Second)
		}
	})
}
