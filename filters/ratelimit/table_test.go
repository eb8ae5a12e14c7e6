package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// takes is how many of n requests of a client get a token.
func (s *set) takes(l limit, client uint64, now instant, n int) (got int) {
	for range n {
		s.settle(now, l)
		b, _ := s.bucket(client, now)
		var wait instant
		if *b, wait = l.take(*b, now); wait == 0 {
			got++
		}
	}
	return got
}

func TestSet(t *testing.T) {
	t.Parallel()
	l := newLimit(1, time.Second, 2)
	var s set
	for client := range uint64(setSize) {
		require.Equal(t, 2, s.takes(l, 100+client, at(0), 5), "each has its own")
	}
	require.Equal(t, 2, s.takes(l, 200, at(0), 5), "one that is too many has the bucket of the others")
	require.Zero(t, s.takes(l, 201, at(0), 5), "which they share")
	require.Zero(t, s.takes(l, 100, at(0), 5), "and nobody was put out for them")
	require.Equal(t, 1, s.takes(l, 200, at(1), 5), "all have one token more")
	require.Equal(t, 1, s.takes(l, 100, at(1), 5))
	require.Equal(t, 2, s.takes(l, 300, at(2), 5), "who has filled up is forgotten for a newcomer")
	require.Zero(t, s.takes(l, 300, at(2), 5))
	require.Equal(t, 1, s.takes(l, 100, at(2), 5), "but not who has not")

	require.Equal(t, s, decodeSet(s.encode()))
	require.Len(t, s.encode(), setBytes)
}

func TestClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	l := newLimit(1, time.Second, 3)
	var s set
	const day = 24 * 3600
	for client := range uint64(setSize + 1) {
		require.Equal(t, 3, s.takes(l, client, at(day), 5))
	}
	require.Zero(t, s.takes(l, 0, at(0), 1), "empty, as before")
	require.Zero(t, s.takes(l, 0, at(0.9), 1))
	require.Equal(t, 1, s.takes(l, 0, at(1), 5), "and it fills from here on")
	require.Equal(t, 3, s.takes(l, 500, at(3), 5), "those who do not come back are forgotten, too")
	require.Equal(t, 3, s.takes(l, 0, at(day), 5), "forward again")
}

func TestSmallerBurst(t *testing.T) {
	t.Parallel()
	var s set
	require.Equal(t, 100, s.takes(newLimit(1, time.Second, 100), 1, at(0), 200))
	small := newLimit(1, time.Second, 2)
	require.Zero(t, s.takes(small, 1, at(0), 5))
	require.Equal(t, 1, s.takes(small, 1, at(1), 5), "nobody waits for what a bucket had before")
}

// Whatever another filter writes there, no client gets more than a burst, nor waits longer than an empty bucket takes to fill.
func FuzzDecodeSet(f *testing.F) {
	f.Add([]byte{}, uint64(1))
	var s set
	s.clients[3] = entry{7, bucket(at(5))}
	f.Add(s.encode(), uint64(7))
	f.Fuzz(func(t *testing.T, data []byte, client uint64) {
		l := newLimit(1, time.Second, 3)
		s := decodeSet(data)
		require.LessOrEqual(t, s.takes(l, client, at(0), 10), 3)
		require.Equal(t, 3, s.takes(l, client, at(3), 10))
	})
}
