package main

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxToken is the longest token in bytes. Upstreams refuse longer headers.
	maxToken = 8 << 10
	// maxLifetime bounds what a token service may promise, so that no sum of times overflows and a mistaken expiry heals.
	maxLifetime = 30 * 24 * time.Hour
	// maxTransit is how long before its end of life a token is no longer sent, or a tenth of its lifetime when that is less: it
	// must still be valid where it arrives.
	maxTransit = time.Second
	// maxSeconds is the largest number of seconds that is told apart, some 30,000 years.
	maxSeconds = 1 << 40
	// minInterval is the shortest time between two fetches, also for a token that is valid for less.
	minInterval = time.Second
	// maxRetry is the longest time between two fetches that fail.
	maxRetry = 30 * time.Second
	// clockSlack is how much the clock may run back before what was measured by it is doubted.
	clockSlack = time.Second
)

// An instant is a time in milliseconds since 1970. It goes into shared data as it is.
type instant int64

func (t instant) add(d time.Duration) instant { return t + instant(d.Milliseconds()) }

func (t instant) sub(u instant) time.Duration { return time.Duration(t-u) * time.Millisecond }

// A token is sent from the moment it was asked for until its expiry, which is a little before the service's.
type token struct {
	value         string
	since, expiry instant
}

// validAt tells whether the token may be sent. A clock before its time has been set back, and then the expiry means nothing.
func (t token) validAt(now instant) bool {
	return t.value != "" && t.since <= now.add(clockSlack) && now < t.expiry
}

// cleanToken returns the token in what a token service sent, which may begin with the scheme.
func cleanToken(s string) (string, bool) {
	const scheme = "bearer "
	if len(s) > len(scheme) && foldEqual(s[:len(scheme)], scheme) {
		s = strings.TrimLeft(s[len(scheme):], " ")
	}
	return s, isToken(s)
}

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

// jwtExpiry reads the exp of a JWT: the seconds since 1970 in its second part, which is JSON. The signature is for those who
// accept the token; here the service that issued it has just been asked.
func jwtExpiry(s string) (seconds int64, ok bool) {
	_, rest, ok1 := strings.Cut(s, ".")
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 || strings.Contains(signature, ".") {
		return 0, false
	}
	document, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return 0, false
	}
	exp, err := find(document, "/exp")
	if err != nil || exp[0].kind != jsontext.KindNumber {
		return 0, false
	}
	return parseSeconds(exp[0].text)
}

// parseSeconds reads a number of seconds, rounded down. A number too large to be one is maxSeconds, so that it can be counted
// with; a negative one, or one with an exponent, is none.
func parseSeconds(s string) (int64, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if !all(whole, isDigit) || fraction != "" && !all(fraction, isDigit) {
		return 0, false
	}
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n > maxSeconds {
		n = maxSeconds // the digits are digits, so the error says that they are too many
	}
	return n, true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// refreshAt is when a token of this age is fetched again: at 80 % of its lifetime, give or take a tenth, so that many proxies
// that started together do not stay together; or after the configured time if that is sooner.
func (c *config) refreshAt(t token, random uint32) instant {
	wait := spread(t.expiry.sub(t.since)*72/100, t.expiry.sub(t.since)*88/100, random)
	if c.refresh != 0 {
		wait = min(wait, c.refresh)
	}
	return t.since.add(max(wait, minInterval))
}

// retryAt is when a fetch that failed is tried again: within 2 s, 4 s, 8 s and so on, but in the second half of that time.
func retryAt(now instant, failures uint32, random uint32) instant {
	wait := min(minInterval<<min(failures, 5), maxRetry)
	return now.add(spread(wait/2, wait, random))
}

// spread returns a duration between low and high.
func spread(low, high time.Duration, random uint32) time.Duration {
	return low + time.Duration((high-low).Milliseconds()*int64(random)>>32)*time.Millisecond
}
