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
	c, err := parseConfig([]byte(`{"hosts":["*"],"upstream":{"host":"token.internal","port":80},"request":{"path":"/token"},` +
		`"token":` + token + `,"lifetime":` + lifetime + `}`))
	require.NoError(t, err)
	return &c
}

const (
	inHeader = `{"header":"authorization"}`
	inBody   = `{"json":"/access_token"}`
	byJWT    = `{"jwt":true}`
	inText   = `{"text":true}`
	byBody   = `{"json":"/expires_in"}`
	byTime   = `{"jsonTime":"/expires_on"}`
	byAll    = `{"json":"/expires_in","jsonTime":"/expires_on","jwt":true,"fixed":"300s"}`
	fixed    = `{"fixed":"300s"}`
)

func headers(status string, more ...[2]string) [][2]string {
	return append([][2]string{{":status", status}, {"content-type", "application/json"}}, more...)
}

func withBody(body string) answer { return answer{headers("200"), []byte(body), len(body)} }

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	const in300s = asked + 300_000
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
		{"lifetime with a fraction", inBody, byBody, withBody(`{"access_token":"abc","expires_in":300.25}`), token{"abc", asked, in300s + 250}},
		{"lifetime with an exponent", inBody, byBody, withBody(`{"access_token":"abc","expires_in":3.0E+2}`), token{"abc", asked, in300s}},
		{"lifetime of 30 days", inBody, byBody, withBody(`{"access_token":"abc","expires_in":2592000}`), token{"abc", asked, asked.add(maxLifetime)}},
		{"time in seconds", inBody, byTime, withBody(`{"access_token":"abc","expires_on":1700000300}`), token{"abc", asked, in300s}},
		{"time in seconds as a string", inBody, byTime, withBody(`{"access_token":"abc","expires_on":"1700000300"}`), token{"abc", asked, in300s}},
		{"time in milliseconds", inBody, byTime, withBody(`{"access_token":"abc","expires_on":1700000300000}`), token{"abc", asked, in300s}},
		{"time with an exponent", inBody, byTime, withBody(`{"access_token":"abc","expires_on":1.7000003e9}`), token{"abc", asked, in300s}},
		{"time of RFC 3339", inBody, byTime, withBody(`{"access_token":"abc","expires_on":"2023-11-14T23:18:20.123+01:00"}`), token{"abc", asked, in300s}},
		{"time in ten years", inBody, byTime, withBody(`{"access_token":"abc","expires_on":"2036-01-01T00:00:00Z"}`), token{"abc", asked, asked.add(maxLifetime)}},
		{"chain, seconds first", inBody, byAll, withBody(`{"access_token":"abc","expires_in":60,"expires_on":1700000300}`), token{"abc", asked, asked + 60_000}},
		{"chain, then a time", inBody, byAll, withBody(`{"access_token":"abc","expires_in":null,"expires_on":1700000060}`), token{"abc", asked, asked + 60_000}},
		{"chain, then exp", inBody, byAll, withBody(`{"access_token":"` + jwt(`{"exp":1700000060}`) + `"}`), token{jwt(`{"exp":1700000060}`), asked, asked + 60_000}},
		{"chain, a JWT without exp", inBody, byAll, withBody(`{"access_token":"` + jwt(`{}`) + `"}`), token{jwt(`{}`), asked, in300s}},
		{"chain, opaque token", inBody, byAll, withBody(`{"access_token":"abc"}`), token{"abc", asked, in300s}},
		{"exp with an exponent", inBody, byJWT, withBody(`{"access_token":"` + jwt(`{"exp":1.7000003e9}`) + `"}`), token{jwt(`{"exp":1.7000003e9}`), asked, in300s}},
		{"iat, when this clock is an hour behind", inBody, byJWT, withBody(`{"access_token":"` + jwt(`{"iat":1700003600,"exp":1700003900}`) + `"}`), token{jwt(`{"iat":1700003600,"exp":1700003900}`), asked, in300s}},
		{"iat that is later than exp", inBody, byJWT, withBody(`{"access_token":"` + jwt(`{"iat":1700003600,"exp":1700000300}`) + `"}`), token{jwt(`{"iat":1700003600,"exp":1700000300}`), asked, in300s}},
		{"201", inBody, byBody, answer{headers("201"), []byte(`{"access_token":"abc","expires_in":300}`), 39}, token{"abc", asked, in300s}},
		{"text", inText, fixed, withBody("\xef\xbb\xbfabc\r\n"), token{"abc", asked, in300s}},
		{"white space round the token", inBody, fixed, withBody(`{"access_token":" Bearer  abc\n"}`), token{"abc", asked, in300s}},
		{"byte order mark", inBody, byBody, withBody("\xef\xbb\xbf" + `{"access_token":"abc","expires_in":300}`), token{"abc", asked, in300s}},
		{"another field twice", inBody, byBody, withBody(`{"access_token":"abc","expires_in":300,"scope":"a","scope":"b"}`), token{"abc", asked, in300s}},
		{"another field in Latin-1", inBody, byBody, withBody("{\"n\xfc\":\"M\xfcller\",\"access_token\":\"abc\",\"expires_in\":300}"), token{"abc", asked, in300s}},
		{"another field with half a surrogate", inBody, byBody, withBody(`{"name":"\ud800","access_token":"abc","expires_in":300}`), token{"abc", asked, in300s}},
		{"a long token, as allowed", `{"json":"/access_token","maxBytes":49152}`, byBody, withBody(`{"access_token":"` + strings.Repeat("a", maxToken) + `","expires_in":300}`), token{strings.Repeat("a", maxToken), asked, in300s}},
		{"lifetime of two seconds", inBody, byBody, withBody(`{"access_token":"abc","expires_in":2}`), token{"abc", asked, asked + 2000}},
		{"huge exp", inBody, byJWT, withBody(`{"access_token":"` + jwt(`{"exp":99999999999999999999}`) + `"}`), token{jwt(`{"exp":99999999999999999999}`), asked, asked.add(maxLifetime)}},
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
	tests := []struct {
		name            string
		token, lifetime string
		answer          answer
		reason          reason
		want            string
	}{
		{"nothing", inHeader, fixed, answer{}, noAnswer, "no answer"},
		{"headers without status", inHeader, fixed, answer{headers: [][2]string{{"authorization", "abc"}}}, noAnswer, "no answer"},
		{"401", inHeader, fixed, answer{headers: headers("401", [2]string{"authorization", "abc"})}, badStatus, "want status 2xx, got 401"},
		{"302", inHeader, fixed, answer{headers: headers("302")}, badStatus, "want status 2xx, got 302"},
		{"204", inHeader, fixed, answer{headers: headers("204")}, noToken, `no token in the header "authorization"`},
		{"empty status", inHeader, fixed, answer{headers: headers("")}, badStatus, "want status 2xx, got "},
		{"body of 10 MiB", inBody, fixed, answer{headers("200"), make([]byte, maxBody), 10 << 20}, tooLarge, "body of 10485760 bytes"},
		{"body that the host did not give", inBody, fixed, answer{headers("200"), nil, 100}, noToken, "reading the body: not a JSON document"},
		{"no token header", inHeader, fixed, answer{headers: headers("200")}, noToken, `no token in the header "authorization"`},
		{"empty token header", inHeader, fixed, answer{headers: headers("200", [2]string{"authorization", ""})}, noToken, `no token in the header "authorization"`},
		{"token header twice", inHeader, fixed, answer{headers: headers("200", [2]string{"authorization", "a"}, [2]string{"authorization", "b"})}, badToken, `the token in the header "authorization" is there 2 times`},
		{"token header of 1 MiB", inHeader, fixed, answer{headers: headers("200", [2]string{"authorization", strings.Repeat("a", 1<<20)})}, badToken, `the token in the header "authorization" has 1048576 bytes, and "maxBytes" is 8192`},
		{"token with zero byte", inHeader, fixed, answer{headers: headers("200", [2]string{"authorization", "a\x00b"})}, badToken, `the token in the header "authorization" has the byte 0x00 at 1 of 3. want printable ASCII without spaces`},
		{"token with line break", inBody, fixed, withBody(`{"access_token":"a\r\nx-admin: 1"}`), badToken, "the token at /access_token has the byte 0x0d at 1 of 13. want printable ASCII without spaces"},
		{"token with space", inBody, fixed, withBody(`{"access_token":"a b"}`), badToken, "the token at /access_token has the byte 0x20 at 1 of 3. want printable ASCII without spaces"},
		{"token not ASCII", inBody, fixed, withBody(`{"access_token":"ä"}`), badToken, "the token at /access_token has the byte 0xc3 at 0 of 2. want printable ASCII without spaces"},
		{"Latin-1 in the token", inBody, fixed, withBody("{\"access_token\":\"\xfc\"}"), badToken, "the token at /access_token has the byte 0xef at 0 of 3. want printable ASCII without spaces"},
		{"half a surrogate in the token", inBody, fixed, withBody(`{"access_token":"\ud800"}`), badToken, "the token at /access_token has the byte 0xef at 0 of 3. want printable ASCII without spaces"},
		{"empty body", inBody, fixed, withBody(``), noToken, "reading the body: not a JSON document"},
		{"blank body", inBody, fixed, withBody(" \n"), noToken, "reading the body: not a JSON document"},
		{"garbage", inBody, fixed, withBody("\xff\x00garbage"), noToken, "reading the body: not a JSON document"},
		{"cut", inBody, fixed, withBody(`{"access_token":"abc"`), noToken, "reading the body: not a JSON document"},
		{"two documents", inBody, fixed, withBody(`{"access_token":"abc"}{"access_token":"def"}`), noToken, "reading the body: not a JSON document"},
		{"token twice", inBody, fixed, withBody(`{"access_token":"abc","access_token":"def"}`), badToken, "the token at /access_token is there 2 times"},
		{"deep", inBody, fixed, withBody(strings.Repeat("[", maxBody)), noToken, "reading the body: nested deeper than 16"},
		{"token as number", inBody, fixed, withBody(`{"access_token":1}`), noToken, "what is at /access_token is no string"},
		{"token as object", inBody, fixed, withBody(`{"access_token":{"access_token":"abc"}}`), noToken, "no token at /access_token"},
		{"token null", inBody, fixed, withBody(`{"access_token":null}`), noToken, "no token at /access_token"},
		{"token empty", inBody, fixed, withBody(`{"access_token":""}`), noToken, "no token at /access_token"},
		{"token only as a name", inBody, fixed, withBody(`{"x":"access_token"}`), noToken, "no token at /access_token"},
		{"no lifetime", inBody, byBody, withBody(`{"access_token":"abc"}`), noLifetime, "no lifetime: nothing at /expires_in"},
		{"lifetime negative", inBody, byBody, withBody(`{"access_token":"abc","expires_in":-1}`), noLifetime, "what is at /expires_in is no number of seconds"},
		{"lifetime in words", inBody, byBody, withBody(`{"access_token":"abc","expires_in":"soon"}`), noLifetime, "what is at /expires_in is no number of seconds"},
		{"lifetime zero", inBody, byBody, withBody(`{"access_token":"abc","expires_in":0}`), noLifetime, "the token expired 0 s ago by this proxy's clock"},
		{"exp now", inBody, byJWT, withBody(`{"access_token":"` + jwt(`{"exp":1700000000}`) + `"}`), noLifetime, "the token expired 0 s ago by this proxy's clock"},
		{"exp long ago", inBody, byJWT, withBody(`{"access_token":"` + jwt(`{"exp":1}`) + `"}`), noLifetime, "the token expired 1699999999 s ago by this proxy's clock"},
		{"not a JWT", inBody, byJWT, withBody(`{"access_token":"abc"}`), noLifetime, "no lifetime: the token is no JWT with an exp"},
		{"exp as a string", inBody, byAll, withBody(`{"access_token":"` + jwt(`{"exp":"1700000300"}`) + `"}`), noLifetime, "the exp of the token is no number of seconds"},
		{"nothing in the chain", inBody, `{"json":"/expires_in","jsonTime":"/expires_on","jwt":true}`, withBody(`{"access_token":"abc"}`), noLifetime, "no lifetime: nothing at /expires_in, nothing at /expires_on, the token is no JWT with an exp"},
		{"a time as a lifetime", inBody, byAll, withBody(`{"access_token":"abc","expires_in":1795646182}`), noLifetime, `the number at /expires_in is more than 30 days, so not a lifetime in seconds. for a time there is "jsonTime"`},
		{"a time as a lifetime, as a string", inBody, byBody, withBody(`{"access_token":"abc","expires_in":"1795646182"}`), noLifetime, `the number at /expires_in is more than 30 days, so not a lifetime in seconds. for a time there is "jsonTime"`},
		{"a lifetime of 30 days and a second", inBody, byBody, withBody(`{"access_token":"abc","expires_in":2592001}`), noLifetime, `the number at /expires_in is more than 30 days, so not a lifetime in seconds. for a time there is "jsonTime"`},
		{"lifetime twice", inBody, byBody, withBody(`{"access_token":"abc","expires_in":1,"expires_in":300}`), noLifetime, "the lifetime at /expires_in is there 2 times"},
		{"lifetime true", inBody, byAll, withBody(`{"access_token":"abc","expires_in":true}`), noLifetime, "what is at /expires_in is no number of seconds"},
		{"a lifetime as a time", inBody, byTime, withBody(`{"access_token":"abc","expires_on":3600}`), noLifetime, "what is at /expires_on is no time: neither seconds or milliseconds since 1970 nor RFC 3339"},
		{"a time without a zone", inBody, byTime, withBody(`{"access_token":"abc","expires_on":"2036-01-01T00:00:00"}`), noLifetime, "what is at /expires_on is no time: neither seconds or milliseconds since 1970 nor RFC 3339"},
		{"a time that is over", inBody, byTime, withBody(`{"access_token":"abc","expires_on":"2023-11-14T22:13:10Z"}`), noLifetime, "the token expired 10 s ago by this proxy's clock"},
		{"time twice", inBody, byTime, withBody(`{"access_token":"abc","expires_on":1700000300,"expires_on":1700000301}`), noLifetime, "the time at /expires_on is there 2 times"},
		{"too little to live", inBody, byBody, withBody(`{"access_token":"abc","expires_in":0.052}`), noLifetime, "the token lives for 2 ms more, which is too short"},
		{"text that is JSON", inText, fixed, withBody(`{"access_token":"abc"}`), badToken, "the body is JSON or HTML, and no token"},
		{"text that is HTML", inText, fixed, withBody("<!doctype html>"), badToken, "the body is JSON or HTML, and no token"},
		{"no text", inText, fixed, withBody("\n"), noToken, "no token in the body"},
		{"a token over 8 KiB", inBody, fixed, withBody(`{"access_token":"` + strings.Repeat("a", 10_803) + `"}`), badToken, `the token at /access_token has 10803 bytes, and "maxBytes" is 8192`},
		{"an error of OAuth", inBody, fixed, answer{headers("401"), []byte(`{"error":"invalid_client","error_description":"secret s3cret is wrong"}`), 70}, badStatus, "want status 2xx, got 401, error invalid_client"},
		{"an error with status 200", inBody, fixed, withBody(`{"error":"bad_verification_code"}`), noToken, "no token at /access_token, error bad_verification_code"},
		{"an error that is no code", inBody, fixed, answer{headers("400"), []byte(`{"error":"secret s3cret is wrong"}`), 30}, badStatus, "want status 2xx, got 400"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, failed := configWith(t, tt.token, tt.lifetime).readAnswer(tt.answer, asked, answered)
			require.Equal(t, &failure{reason: tt.reason, text: tt.want}, failed)
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
	for _, where := range []string{inHeader, inBody, inText} {
		for _, until := range []string{byJWT, byBody, byTime, byAll, fixed} {
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
			require.Less(t, answered, c.until(got))
			require.LessOrEqual(t, c.until(got), got.expiry)
			require.LessOrEqual(t, got.expiry.sub(asked), maxLifetime)
			require.GreaterOrEqual(t, c.refreshAt(got, 0).sub(asked), time.Second)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		value string
		want  time.Duration
	}{
		{"", 0},
		{"60", time.Minute},
		{"0", 0},
		{"86400", maxRetryAfter},
		{"-1", 0},
		{"soon", 0},
		{"Tue, 14 Nov 2023 22:14:20 GMT", time.Minute},
		{"Tue, 14 Nov 2023 22:00:00 GMT", 0},
	}
	for _, tt := range tests {
		a := answer{headers: headers("429", [2]string{"retry-after", tt.value})}
		_, failed := configWith(t, inBody, fixed).readAnswer(a, asked, asked)
		require.Equal(t, tt.want, failed.retryAfter, "%q", tt.value)
	}
}
