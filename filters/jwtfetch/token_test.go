package main

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// jwt makes a token with this payload. Its signature is not one.
func jwt(payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256"}`)) + "." + encode([]byte(payload)) + ".c2lnbmF0dXJl"
}

func TestCleanToken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, raw, want string
		ok              bool
	}{
		{"as it is", "abc.def", "abc.def", true},
		{"with scheme", "Bearer abc", "abc", true},
		{"scheme in another case", "bEARER  abc", "abc", true},
		{"scheme alone", "Bearer ", "Bearer", true},
		{"white space round it", "\r\n\t abc \n", "abc", true},
		{"another scheme", "Basic abc", "Basic abc", false},
		{"longest", strings.Repeat("a", maxToken), strings.Repeat("a", maxToken), true},
		{"too long", strings.Repeat("a", maxToken+1), strings.Repeat("a", maxToken+1), false},
		{"empty", "", "", false},
		{"space", "a b", "a b", false},
		{"line break", "a\r\nx: y", "a\r\nx: y", false},
		{"zero byte", "a\x00", "a\x00", false},
		{"delete", "a\x7f", "a\x7f", false},
		{"not ASCII", "ä", "ä", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := cleanToken(tt.raw)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.ok, isToken(got))
			if tt.raw != "" {
				require.Equal(t, tt.ok, tokenFault(got, maxToken) == "")
			}
		})
	}
}

func TestJWTTimes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, token string
		want        int64
		ok          bool
	}{
		{"number", jwt(`{"iss":"me","exp":1700000000}`), 1_700_000_000_000, true},
		{"fraction", jwt(`{"exp":1700000000.9}`), 1_700_000_000_900, true},
		{"exponent", jwt(`{"exp":1.7e9}`), 1_700_000_000_000, true},
		{"huge", jwt(`{"exp":` + strings.Repeat("9", 5000) + `}`), maxMilliseconds, true},
		{"past", jwt(`{"exp":0}`), 0, true},
		{"negative", jwt(`{"exp":-1}`), 0, false},
		{"huge exponent", jwt(`{"exp":1e999}`), maxMilliseconds, true},
		{"string", jwt(`{"exp":"1700000000"}`), 0, false},
		{"null", jwt(`{"exp":null}`), 0, false},
		{"inside another object", jwt(`{"a":{"exp":1700000000}}`), 0, false},
		{"missing", jwt(`{}`), 0, false},
		{"twice", jwt(`{"exp":1,"exp":2}`), 0, false},
		{"another twice", jwt(`{"aud":1,"exp":1700000000,"aud":2}`), 1_700_000_000_000, true},
		{"not JSON", jwt(`exp`), 0, false},
		{"deep", jwt(strings.Repeat(`{"exp":`, 3000)), 0, false},
		{"not base64", "a.!.c", 0, false},
		{"padded base64", "a.e30=.c", 0, false},
		{"one part", "abc", 0, false},
		{"two parts", "a.b", 0, false},
		{"five parts, as encrypted ones have", jwt(`{"exp":1700000000}`) + ".d.e", 0, false},
		{"dots", strings.Repeat(".", maxToken), 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := expOf(tt.token)
			require.Equal(t, tt.ok, ok)
			require.Equal(t, tt.want, got)
		})
	}
}

func expOf(token string) (int64, bool) {
	exp, _ := jwtTimes(token)
	return exp.number()
}

func TestUntil(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                   string
		lifetime, margin, want time.Duration
	}{
		{"usual", time.Hour, 0, time.Hour - time.Second},
		{"a tenth of a short life", 2 * time.Second, 0, 1800 * time.Millisecond},
		{"configured", time.Hour, time.Minute, 59 * time.Minute},
		{"configured and short", time.Hour, time.Millisecond, time.Hour - time.Millisecond},
		{"at most half", time.Minute, time.Hour, 30 * time.Second},
	}
	for _, tt := range tests {
		c := config{margin: tt.margin}
		require.Equal(t, tt.want, c.until(token{"a", asked, asked.add(tt.lifetime)}).sub(asked), tt.name)
	}
}

func TestIsValid(t *testing.T) {
	t.Parallel()
	const second = instant(1000)
	f := fetcher{record: record{token: token{value: "a", since: 100 * second}}, until: 102 * second}
	require.True(t, f.isValid(100*second))
	require.True(t, f.isValid(102*second-1))
	require.False(t, f.isValid(102*second), "at its expiry")
	require.False(t, f.isValid(1000*second), "after it")
	require.True(t, f.isValid(99*second), "within the slack of clocks")
	require.False(t, f.isValid(99*second-1), "the clock was set back")
	f.record.token.value = ""
	require.False(t, f.isValid(100*second), "no token")
}

func TestRefreshAt(t *testing.T) {
	t.Parallel()
	const none, most = 0, 1<<32 - 1
	tests := []struct {
		name              string
		lifetime, refresh time.Duration
		random            uint32
		want              time.Duration
	}{
		{"earliest", time.Hour + time.Second, 0, none, 43*time.Minute + 12*time.Second},
		{"latest", time.Hour + time.Second, 0, most, 52*time.Minute + 48*time.Second},
		{"in the middle", time.Hour + time.Second, 0, 1 << 31, 48 * time.Minute},
		{"configured", time.Hour, 15 * time.Second, most, 15 * time.Second},
		{"configured too late", 11 * time.Second, 15 * time.Second, none, 7200 * time.Millisecond},
		{"not within a second", 500 * time.Millisecond, 0, none, time.Second},
		{"longest", maxLifetime, 0, most, (maxLifetime - usualMargin) * 88 / 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			since := instant(1_700_000_000_000)
			c := config{refresh: tt.refresh}
			got := c.refreshAt(token{"a", since, since.add(tt.lifetime)}, tt.random)
			require.InDelta(t, float64(tt.want), float64(got.sub(since)), float64(2*time.Millisecond))
		})
	}
}

func TestRetryAt(t *testing.T) {
	t.Parallel()
	for failures, longest := range map[uint32]time.Duration{1: 2 * time.Second, 2: 4 * time.Second, 3: 8 * time.Second, 4: 16 * time.Second, 5: maxRetry, 1 << 31: maxRetry} {
		require.Equal(t, longest/2, retryAt(0, failures, 0, 0).sub(0), "%d failures", failures)
		require.InDelta(t, float64(longest), float64(retryAt(0, failures, 0, 1<<32-1).sub(0)), float64(2*time.Millisecond), "%d failures", failures)
	}
	require.Equal(t, time.Minute, retryAt(0, 1, time.Minute, 0).sub(0), "as the service asks")
	require.InDelta(t, float64(67500*time.Millisecond), float64(retryAt(0, 1, time.Minute, 1<<32-1).sub(0)), float64(2*time.Millisecond), "and not all at once")
	require.Equal(t, 8*time.Second, retryAt(0, 4, time.Second, 0).sub(0), "not sooner than without")
}
