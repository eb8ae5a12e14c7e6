package main

import "time"

// An instant is a time in nanoseconds since 1970.
type instant int64

// A limit is a token bucket: burst tokens, of which each request takes one, and a new one after each interval.
type limit struct {
	interval instant
	burst    int
}

// maxEmpty is the longest time in which a bucket fills: so long may a client have to wait after the clock was set back.
const maxEmpty = instant(30 * 24 * time.Hour)

func newLimit(requests int, per time.Duration, burst int) limit {
	// Rounded up, by less than a nanosecond: rather one request too few in a day than one too many.
	return limit{instant((int64(per) + int64(requests) - 1) / int64(requests)), burst}
}

// empty is how long an empty bucket takes to fill.
func (l limit) empty() instant { return l.interval * instant(l.burst) }

// A bucket is the instant at which it will be full, or was. That is all there is to know: a bucket that lacks n tokens is full n intervals
// from now, and one that is full is like one that has never been used.
type bucket instant

// isFull tells whether the bucket can be forgotten.
func (b bucket) isFull(now instant) bool { return instant(b) <= now }

// take takes one token. Without one, wait is how long it takes until there is.
func (l limit) take(b bucket, now instant) (after bucket, wait instant) {
	full := max(instant(b), now) + l.interval
	if wait = full - now - l.empty(); wait > 0 {
		return b, wait
	}
	return bucket(full), 0
}
