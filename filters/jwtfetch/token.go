package main

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxToken is the longest token in bytes that a configuration can allow: Envoy takes 60 KiB of headers.
	maxToken = 48 << 10
	// usualToken is the longest that it allows without saying so. Upstreams refuse longer headers.
	usualToken = 8 << 10
	// maxLifetime bounds what a token service may promise, so that no sum of times overflows and a mistaken expiry heals.
	maxLifetime = 30 * 24 * time.Hour
	// usualMargin is how long before its end of life a token is no longer sent, or a tenth of its lifetime when that is less: it
	// must still be valid where it arrives.
	usualMargin = time.Second
	// minInterval is the shortest time between two fetches, also for a token that is valid for less.
	minInterval = time.Second
	// maxRetry is the longest time between two fetches that fail, unless the service asks for more.
	maxRetry = 30 * time.Second
	// maxRetryAfter is the longest time that a service can ask for.
	maxRetryAfter = time.Hour
	// clockSlack is how much the clock may run back before what was measured by it is doubted.
	clockSlack = time.Second
)

// A token is valid from the moment it was asked for until its expiry, which is the service's.
type token struct {
	value         string
	since, expiry instant
}

// until is when the token is no longer sent.
func (c *config) until(t token) instant {
	lifetime := t.expiry.sub(t.since)
	if c.margin != 0 {
		return t.expiry.add(-min(c.margin, lifetime/2))
	}
	return t.expiry.add(-min(usualMargin, lifetime/10))
}

// cleanToken returns the token in what a token service sent: white space may stand round it, and the scheme before it.
func cleanToken(s string) string {
	const scheme = "bearer "
	s = trim(s)
	if len(s) > len(scheme) && foldEqual(s[:len(scheme)], scheme) {
		s = trim(s[len(scheme):])
	}
	return s
}

// trim is strings.TrimSpace without the tables of Unicode.
func trim(s string) string { return strings.Trim(s, " \t\r\n") }

// foldEqual is strings.EqualFold for a lower-case letters-and-spaces t, without the tables of Unicode.
func foldEqual(s, t string) bool {
	for i := range len(t) {
		if s[i]|0x20 != t[i] {
			return false
		}
	}
	return true
}

// isToken tells whether s can stand in a header as a token. Line breaks would start another header.
func isToken(s string) bool { return len(s) <= maxToken && all(s, isVisible) }

// tokenFault says why s is no token of at most this many bytes. It does not quote it.
func tokenFault(s string, most int) string {
	if len(s) > most {
		return "has " + strconv.Itoa(len(s)) + ` bytes, and "maxBytes" is ` + strconv.Itoa(most)
	}
	for i := range len(s) {
		if !isVisible(s[i]) {
			const hex = "0123456789abcdef"
			return "has the byte 0x" + string([]byte{hex[s[i]>>4], hex[s[i]&15]}) + " at " + strconv.Itoa(i) + " of " + strconv.Itoa(len(s)) +
				". want printable ASCII without spaces"
		}
	}
	return ""
}

// jwtTimes reads exp and iat of a JWT: its second part is JSON. The signature is for those who accept the token; here the service
// that issued it has just been asked. A token that is no JWT has neither.
func jwtTimes(s string) (exp, iat scalar) {
	_, rest, ok1 := strings.Cut(s, ".")
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 || strings.Contains(signature, ".") {
		return scalar{}, scalar{}
	}
	document, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return scalar{}, scalar{}
	}
	found, err := find(document, "/exp", "/iat")
	if err != nil {
		return scalar{}, scalar{}
	}
	return found[0], found[1]
}

// number is the milliseconds of a number of seconds. A string of digits is none: in a JWT the standard wants a number.
func (s scalar) number() (int64, bool) {
	if s.kind != jsontext.KindNumber || s.n != 1 {
		return 0, false
	}
	return parseSeconds(s.text)
}

// refreshAt is when a token of this age is fetched again: at 80 % of the time that it is sent, give or take a tenth, so that many
// proxies that started together do not stay together; or after the configured time if that is sooner.
func (c *config) refreshAt(t token, random uint32) instant {
	life := c.until(t).sub(t.since)
	wait := spread(life*72/100, life*88/100, random)
	if c.refresh != 0 {
		wait = min(wait, c.refresh)
	}
	return t.since.add(max(wait, minInterval))
}

// retryAt is when a fetch that failed is tried again: within 2 s, 4 s, 8 s and so on, but in the second half of that time; and not
// before the time that the service asked for, nor all at that time.
func retryAt(now instant, failures uint32, after time.Duration, random uint32) instant {
	wait := min(minInterval<<min(failures, 5), maxRetry)
	return now.add(max(spread(wait/2, wait, random), spread(after, after+after/8, random)))
}

// spread returns a duration between low and high.
func spread(low, high time.Duration, random uint32) time.Duration {
	return low + time.Duration((high-low).Milliseconds()*int64(random)>>32)*time.Millisecond
}
