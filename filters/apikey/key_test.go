package main

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSHA256(t *testing.T) {
	t.Parallel()
	// Every length up to three blocks, where the padding differs, and one beyond.
	for n := range 200 {
		message := []byte(strings.Repeat("k", n))
		require.Equal(t, sha256.Sum256(message), sha256Sum(message), "%d bytes", n)
	}
	long := []byte(strings.Repeat("0123456789", 10_000))
	require.Equal(t, sha256.Sum256(long), sha256Sum(long))
}

func FuzzSHA256(f *testing.F) {
	f.Add([]byte("key"))
	f.Fuzz(func(t *testing.T, message []byte) { require.Equal(t, sha256.Sum256(message), sha256Sum(message)) })
}

func TestWhose(t *testing.T) {
	t.Parallel()
	var known []knownKey
	for _, k := range [][2]string{{"one", "a"}, {"two", "b"}, {"three", "c"}, {"four", "c"}, {"five", "a"}} {
		known = append(known, knownKey{sha256.Sum256([]byte(k[0])), k[1]})
	}
	for key, want := range map[string]string{"one": "a", "two": "b", "three": "c", "four": "c", "five": "a"} {
		got, ok := whose(known, key)
		require.True(t, ok, key)
		require.Equal(t, want, got, key)
	}
	for _, key := range []string{"", "on", "one ", "One", "one\x00", strings.Repeat("one", 10_000)} {
		_, ok := whose(known, key)
		require.False(t, ok, key)
	}
	// One byte of the hash that differs is enough, wherever it is.
	for i := range sha256Size {
		other := known[0]
		other.hash[i] ^= 0x80
		_, ok := whose([]knownKey{other}, "one")
		require.False(t, ok, i)
	}
	// The configuration refuses it, and so does this.
	_, ok := whose([]knownKey{{sha256.Sum256(nil), "a"}}, "")
	require.False(t, ok)
}

func TestSpellings(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"consumer"}, spellings("consumer"))
	require.Equal(t, []string{"x-consumer", "x_consumer"}, spellings("x-consumer"))
	require.Equal(t, "a_b-c", spellings("a_b-c")[0])
	require.ElementsMatch(t, []string{"a_b-c", "a-b-c", "a_b_c", "a-b_c"}, spellings("a_b-c"))
	require.Equal(t, 3, words("a_b-c"))
}
