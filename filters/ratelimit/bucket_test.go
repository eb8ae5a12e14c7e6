package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const second = instant(time.Second)

// at is an instant of these tests, in seconds.
func at(seconds float64) instant { return instant(1e18) + instant(seconds*1e9) }

func TestTake(t *testing.T) {
	t.Parallel()
	l := newLimit(2, time.Second, 3) // a token each half second, and three at once
	type step struct {
		at   float64
		wait float64 // 0: there was a token
	}
	for name, steps := range map[string][]step{
		"a burst, and then no more":          {{0, 0}, {0, 0}, {0, 0}, {0, 0.5}, {0, 0.5}},
		"refused requests cost nothing":      {{0, 0}, {0, 0}, {0, 0}, {0.1, 0.4}, {0.2, 0.3}, {0.4, 0.1}, {0.5, 0}, {0.5, 0.5}},
		"a token after each interval":        {{0, 0}, {0, 0}, {0, 0}, {0.5, 0}, {1, 0}, {1.5, 0}, {1.5, 0.5}},
		"it fills to the burst, not further": {{0, 0}, {0, 0}, {0, 0}, {100, 0}, {100, 0}, {100, 0}, {100, 0.5}},
		"half filled":                        {{0, 0}, {0, 0}, {0, 0}, {1, 0}, {1, 0}, {1, 0.5}},
		"slowly for ever":                    {{0, 0}, {0.5, 0}, {1, 0}, {1.5, 0}, {2, 0}, {2.5, 0}, {3, 0}},
	} {
		var b bucket
		for i, s := range steps {
			var wait instant
			b, wait = l.take(b, at(s.at))
			require.InDelta(t, s.wait*1e9, float64(wait), 1, "%s: step %d", name, i)
		}
	}
}

// It is the bucket of the books, which counts tokens.
func FuzzTake(f *testing.F) {
	f.Add(uint16(2), uint8(3), []byte{0, 0, 0, 0, 1, 2, 3, 100, 0, 255})
	f.Fuzz(func(t *testing.T, interval uint16, burst uint8, gaps []byte) {
		l := limit{instant(interval) + 1, int(burst) + 1}
		now, last, tokens := at(0), at(0), int64(l.burst)*int64(l.interval) // in nanoseconds of filling
		var b bucket
		for _, gap := range gaps {
			now += instant(gap) * instant(gap) * 7
			tokens = min(tokens+int64(now-last), int64(l.burst)*int64(l.interval))
			last = now
			var wait instant
			b, wait = l.take(b, now)
			if tokens >= int64(l.interval) {
				tokens -= int64(l.interval)
				require.Zero(t, wait)
			} else {
				require.EqualValues(t, int64(l.interval)-tokens, wait)
			}
		}
	})
}

func TestRoundsAgainstTheClient(t *testing.T) {
	t.Parallel()
	l := newLimit(7, time.Second, 7)
	require.GreaterOrEqual(t, 7*l.interval, second)
	require.Less(t, 7*(l.interval-1), second)
}
