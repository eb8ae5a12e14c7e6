package main

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var opened = config{open: []string{"/healthz", "/public/*", "/.well-known/*", "/dir/"}}

func TestIsOpen(t *testing.T) {
	t.Parallel()
	for _, p := range []string{
		"/healthz", "/healthz?", "/healthz?a=/../b;c%2f", "/public/", "/public/a", "/public/a/b.css?x", "/public/.hidden", "/public/a..b",
		"/.well-known/acme", "/dir/", "/public/@a:b,c=d+e", "/public/a/",
	} {
		require.True(t, opened.isOpen(p), p)
	}
	for _, p := range []string{
		"", "*", "/", "healthz", "/healthz/", "/healthzz", "/health", "/Healthz", "//healthz", "/healthz//", "/healthz/.", "/./healthz",
		"/public", "/publi", "/publicity", "/PUBLIC/a", "/public?/a", "/dir", "/dir/a",
		"/public/..", "/public/../admin", "/public/./a", "/public/.", "/public/...", "/public/..../a", "/public//a", "/public//../admin", "/public/a/..",
		"/public/%2e%2e/admin", "/public/%2E./admin", "/public/.%2e/admin", "/public/%252e%252e/admin", "/public/..%2fadmin", "/public/%2f",
		"/public/%5c..%5cadmin", `/public/..\admin`, `\public\a`, "/public/..;/admin", "/public/;/../admin", "/public/a;b", "/public;a/b",
		"/%70ublic/a", "/public/%61", "/public/%c0%ae%c0%ae/admin", "/public/%u002e%u002e/admin", "/public/..%00/admin", "/public/\x00", "/public/a\tb",
		"/public/a b", "/public/ä", "/public/\u2024\u2024/admin", "/public/\uff0e\uff0e/admin", "/public/#/../admin", "/healthz#a", "/healthz;a", "/healthz%3fa", "/healthz%20",
		"http://host/healthz", "/healthz\r\n",
	} {
		require.False(t, opened.isOpen(p), p)
	}
	require.False(t, (&config{}).isOpen("/healthz"))
}

// Whatever a server does to an open path, it stays where it was.
func FuzzIsOpen(f *testing.F) {
	for _, p := range []string{"/healthz", "/public/../admin", "/public/%2e%2e/admin", "/public/..;/admin", `/public/..\admin`, "/public//a", "/public/.../a", "/public/a?b/../c"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if !opened.isOpen(p) {
			return
		}
		for _, became := range Readings(p) {
			require.True(t, became == "/healthz" || became == "/dir" || strings.HasPrefix(became+"/", "/public/") || strings.HasPrefix(became+"/", "/.well-known/"), "%q became %q", p, became)
		}
	})
}

// Readings are what servers make of a path: with more or fewer decodings, with backslashes and path parameters or without.
func Readings(p string) []string {
	p, _, _ = strings.Cut(p, "?")
	var all []string
	for range 3 {
		slashes := strings.ReplaceAll(p, `\`, "/")
		var segments []string
		for segment := range strings.SplitSeq(slashes, "/") {
			segment, _, _ = strings.Cut(segment, ";")
			segments = append(segments, segment)
		}
		cut, _, _ := strings.Cut(p, "#")
		all = append(all, path.Clean(p), path.Clean(slashes), path.Clean(strings.Join(segments, "/")), path.Clean(strings.TrimRight(cut, ". \x00")))
		decoded, err := url.PathUnescape(p)
		if err != nil {
			break
		}
		p = decoded
	}
	return all
}
