package main

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	for _, r := range []record{
		{},
		{token: token{"abc", 1, 2}, asked: 3, lease: 4, next: 5, failures: 6},
		{token: token{strings.Repeat("a", maxToken), math.MaxInt64, math.MinInt64}, failures: math.MaxUint32},
	} {
		require.Equal(t, r, decodeRecord(r.encode()))
	}
}

func TestRecordOfAnother(t *testing.T) {
	t.Parallel()
	good := record{token: token{"abc", 1, 2}, asked: 3, lease: 4, next: 5, failures: 6}.encode()
	otherVersion := append([]byte{recordVersion + 1}, good[1:]...)
	for name, b := range map[string][]byte{
		"empty":         nil,
		"fields cut":    append([]byte{recordVersion, 1, 0}, good[3:]...),
		"fields beyond": append([]byte{recordVersion, 255, 255}, good[3:]...),
		"cut":           good[:recordHeader-1],
		"other version": otherVersion,
		"line break":    append(good[:len(good):len(good)], "\r\nx-admin: 1"...),
		"too long":      append(good[:recordHeader:recordHeader], make([]byte, maxToken+1)...),
	} {
		require.Empty(t, decodeRecord(b), name)
	}
}

// Two versions of the module share a record during a change: what the newer one has written between, the older one keeps.
func TestRecordOfALaterVersion(t *testing.T) {
	t.Parallel()
	r := record{token: token{"abc", 1, 2}, asked: 3, lease: 4, next: 5, failures: 6, more: "\x01new field"}
	got := decodeRecord(r.encode())
	require.Equal(t, r, got)
	got.next = 7
	require.Equal(t, "\x01new field", decodeRecord(got.encode()).more)
}

// Who changes what is done with a token keeps it; who changes what is asked does not.
func TestRecordKey(t *testing.T) {
	t.Parallel()
	const config = `{"hosts":["a.example.com"],"upstream":{"host":"token.internal","port":80},` +
		`"clientAuth":{"method":"basic","id":"me","secretEnv":"SECRET"},` +
		`"request":{"path":"/token","method":"POST","headers":{"x":"yz"},"body":"a"},"token":{"json":"/access_token"},"lifetime":{"json":"/expires_in"}}`
	key := func(old, new string) string {
		require.Contains(t, config, old)
		c, err := parseConfig([]byte(strings.Replace(config, old, new, 1)))
		require.NoError(t, err)
		return c.recordKey()
	}
	same := key("", "")
	require.Regexp(t, `^jwtfetch/2:[0-9a-f]{1,16}$`, same)
	for _, change := range []string{
		`"onMissing":"deny",`, `"onMissing":"pass",`, `"header":"x-token",`, `"prefix":"",`, `"refresh":"1m",`, `"margin":"5s",`,
		`"paths":["/v1"],`, `"share":true,`, `"exposeTokenToClients":{"header":"x"},`,
	} {
		require.Equal(t, same, key("{", "{"+change), change)
	}
	require.Equal(t, same, key(`a.example.com`, `*`))
	require.Equal(t, same, key(`"path":"/token"`, `"path":"/token","timeout":"5s"`))
	require.Equal(t, same, key(`"host":"token.internal"`, `"cluster":"outbound|80||token.internal","host":"token.internal"`), "the default, written out")
	require.Equal(t, same, key(`"json":"/access_token"`, `"json":"/access_token","maxBytes":100`))

	keys := map[string]bool{same: true}
	for _, change := range [][2]string{
		{`"port":80`, `"port":81`},
		{`"host":"token.internal"`, `"cluster":"other","host":"token.internal"`},
		{`"host":"token.internal"`, `"cluster":"outbound|80||token.internal","host":"other.internal"`},
		{`"path":"/token"`, `"path":"/token2"`},
		{`"POST"`, `"PUT"`},
		{`"x":"yz"`, `"xy":"z"`},
		{`"x":"yz"`, `"x":"y"`},
		{`"headers":{"x":"yz"},`, ``},
		{`"body":"a"`, `"body":"b"`},
		{`"basic"`, `"form"`},
		{`"me"`, `"you"`},
		{`"SECRET"`, `"SECRET2"`},
		{`"json":"/access_token"`, `"json":"/id_token"`},
		{`"json":"/access_token"`, `"header":"x-token"`},
		{`"json":"/access_token"`, `"text":true`},
		{`"json":"/expires_in"`, `"jsonTime":"/expires_in"`},
		{`"json":"/expires_in"`, `"jwt":true`},
		{`"json":"/expires_in"`, `"fixed":"1h"`},
		{`"json":"/expires_in"`, `"fixed":"2h"`},
	} {
		k := key(change[0], change[1])
		require.False(t, keys[k], "%s for %s", change[1], change[0])
		keys[k] = true
	}
}
