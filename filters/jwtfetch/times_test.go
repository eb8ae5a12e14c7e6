package main

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseSeconds(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", ".", "1.", "x", "+1", "-0", "-1", "1.x", " 1", "0x1", "1_0", "e3", "1e", "1e+", "1e+-1", "1ee1", "1e1.5", "NaN", "Infinity"} {
		_, ok := parseSeconds(s)
		require.False(t, ok, "%q", s)
	}
	for s, want := range map[string]int64{
		"0": 0, "300": 300_000, "0300": 300_000, "1.5": 1500, "1.9999": 1999, "0.0009": 0, "99999999999999999999": maxMilliseconds,
		"3e2": 300_000, "3E2": 300_000, "3e+2": 300_000, "30000e-2": 300_000, "3.5e2": 350_000, "1.795646182e9": 1_795_646_182_000,
		"0.003e3": 3000, "1e-3": 1, "1e-4": 0, "1e400": maxMilliseconds, "1e99999999999999999999": maxMilliseconds,
		"1e-99999999999999999999": 0, "0e99999999999999999999": 0, strings.Repeat("9", 5000): maxMilliseconds,
	} {
		got, ok := parseSeconds(s)
		require.True(t, ok, "%q", s)
		require.Equal(t, want, got, "%q", s)
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	at := func(s string) instant {
		parsed, err := time.Parse(time.RFC3339, s)
		require.NoError(t, err)
		return instant(parsed.UnixMilli())
	}
	for s, want := range map[string]instant{
		"1795646182":                     1_795_646_182_000,
		"1795646182.5":                   1_795_646_182_500,
		"1795646182000":                  1_795_646_182_000,
		"1.795646182e12":                 1_795_646_182_000,
		"2026-11-26T08:30:00Z":           at("2026-11-26T08:30:00Z"),
		"2026-11-26t08:30:00z":           at("2026-11-26T08:30:00Z"),
		"2026-11-26 08:30:00Z":           at("2026-11-26T08:30:00Z"),
		"2026-11-26T08:30:00.123456789Z": at("2026-11-26T08:30:00Z"),
		"2026-11-26T08:30:00+02:00":      at("2026-11-26T06:30:00Z"),
		"2026-11-26T23:30:00.5-05:30":    at("2026-11-27T05:00:00Z"),
		"2024-02-29T00:00:00Z":           at("2024-02-29T00:00:00Z"),
		"2000-03-01T00:00:00Z":           at("2000-03-01T00:00:00Z"),
		"2100-01-01T00:00:00Z":           at("2100-01-01T00:00:00Z"),
	} {
		got, ok := parseTime(s)
		require.True(t, ok, "%q", s)
		require.Equal(t, want, got, "%q", s)
	}
	for _, s := range []string{
		"", "3600", "999999999", "1e18", "-1795646182", "2026-11-26", "2026-11-26T08:30:00", "2026-11-26T08:30Z", "2026-13-26T08:30:00Z",
		"2026-00-26T08:30:00Z", "2026-11-32T08:30:00Z", "2026-11-26T25:30:00Z", "2026-11-26T08:30:00Zx", "2026-11-26T08:30:00+0200",
		"11/26/2026 8:30:00 AM +00:00", "Thu, 26 Nov 2026 08:30:00 GMT", "soon",
	} {
		_, ok := parseTime(s)
		require.False(t, ok, "%q", s)
	}
}

func TestParseHTTPDate(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
		"Sun, 06 anF 1994 08:49:37 GMT", "Sun, 06 Nov", "Sun, 06", "Sun, 06 Nov 1994 08:49:37 GMT ",
	} {
		_, ok := parseHTTPDate(s)
		require.False(t, ok, "%q", s)
	}
	got, ok := parseHTTPDate("Sun, 06 Nov 1994 08:49:37 GMT")
	require.True(t, ok)
	require.EqualValues(t, 784_111_777_000, got)
}

// Both forms of a time are what the standard library makes of it.
func TestTimesAreThoseOfTheLibrary(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		at := time.Unix(random.Int64N(4_000_000_000), 0).In(time.FixedZone("", random.IntN(48*30)*60-12*60*60))
		got, ok := parseRFC3339(at.Format(time.RFC3339))
		require.True(t, ok, at)
		require.EqualValues(t, at.UnixMilli(), got, at.Format(time.RFC3339))
		got, ok = parseHTTPDate(at.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
		require.True(t, ok, at)
		require.EqualValues(t, at.UnixMilli(), got, at)
	}
}
