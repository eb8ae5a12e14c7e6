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
		{"scheme alone", "Bearer ", "", false},
		{"another scheme", "Basic abc", "", false},
		{"longest", strings.Repeat("a", maxToken), strings.Repeat("a", maxToken), true},
		{"too long", strings.Repeat("a", maxToken+1), "", false},
		{"empty", "", "", false},
		{"space", "a b", "", false},
		{"line break", "a\r\nx: y", "", false},
		{"zero byte", "a\x00", "", false},
		{"delete", "a\x7f", "", false},
		{"not ASCII", "ä", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := cleanToken(tt.raw)
			require.Equal(t, tt.ok, ok)
			if ok {
				require.Equal(t, tt.want, got)
			}
		})
	}
}

func TestJWTExpiry(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, token string
		want        int64
		ok          bool
	}{
		{"number", jwt(`{"iss":"me","exp":1700000000}`), 1_700_000_000, true},
		{"fraction", jwt(`{"exp":1700000000.9}`), 1_700_000_000, true},
		{"huge", jwt(`{"exp":` + strings.Repeat("9", 5000) + `}`), maxSeconds, true},
		{"past", jwt(`{"exp":0}`), 0, true},
		{"negative", jwt(`{"exp":-1}`), 0, false},
		{"exponent", jwt(`{"exp":1e999}`), 0, false},
		{"string", jwt(`{"exp":"1700000000"}`), 0, false},
		{"null", jwt(`{"exp":null}`), 0, false},
		{"inside another object", jwt(`{"a":{"exp":1700000000}}`), 0, false},
		{"missing", jwt(`{}`), 0, false},
		{"twice", jwt(`{"exp":1,"exp":2}`), 0, false},
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
			got, ok := jwtExpiry(tt.token)
			require.Equal(t, tt.ok, ok)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestParseSeconds(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", ".", "1.", "x", "+1", "-0", "1e3", "1.x", " 1", "0x1", "1_0"} {
		_, ok := parseSeconds(s)
		require.Equal(t, s == "1.", ok, "%q", s)
	}
	for s, want := range map[string]int64{"0": 0, "300": 300, "0300": 300, "1.5": 1, "99999999999999999999": maxSeconds} {
		got, ok := parseSeconds(s)
		require.True(t, ok, "%q", s)
		require.Equal(t, want, got)
	}
}

func TestTokenValidAt(t *testing.T) {
	t.Parallel()
	const second = instant(1000)
	token := token{value: "a", since: 100 * second, expiry: 102 * second}
	require.True(t, token.validAt(100*second))
	require.True(t, token.validAt(102*second-1))
	require.False(t, token.validAt(102*second), "at its expiry")
	require.False(t, token.validAt(1000*second), "after it")
	require.True(t, token.validAt(99*second), "within the slack of clocks")
	require.False(t, token.validAt(99*second-1), "the clock was set back")
	token.value = ""
	require.False(t, token.validAt(100*second), "no token")
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
		{"earliest", time.Hour, 0, none, 43*time.Minute + 12*time.Second},
		{"latest", time.Hour, 0, most, 52*time.Minute + 48*time.Second},
		{"in the middle", time.Hour, 0, 1 << 31, 48 * time.Minute},
		{"configured", time.Hour, 15 * time.Second, most, 15 * time.Second},
		{"configured too late", 10 * time.Second, 15 * time.Second, none, 7200 * time.Millisecond},
		{"not within a second", 500 * time.Millisecond, 0, none, time.Second},
		{"longest", maxLifetime, 0, most, maxLifetime * 88 / 100},
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
		require.Equal(t, longest/2, retryAt(0, failures, 0).sub(0), "%d failures", failures)
		require.InDelta(t, float64(longest), float64(retryAt(0, failures, 1<<32-1).sub(0)), float64(2*time.Millisecond), "%d failures", failures)
	}
}
