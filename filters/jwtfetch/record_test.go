package main

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRecord(t *testing.T) {
	t.Parallel()
	for _, r := range []record{
		{},
		{token: token{"abc", 1, 2}, asked: 3, lease: 4, next: 5, failures: 6},
		{token: token{strings.Repeat("a", maxToken), math.MaxInt64, math.MinInt64}, failures: math.MaxUint32},
	} {
		require.Equal(t, r, decodeRecord(r.encode()))
	}
}

func TestRecordOfAnother(t *testing.T) {
	t.Parallel()
	good := record{token: token{"abc", 1, 2}, asked: 3, lease: 4, next: 5, failures: 6}.encode()
	otherVersion := append([]byte{recordVersion + 1}, good[1:]...)
	for name, b := range map[string][]byte{
		"empty":         nil,
		"cut":           good[:recordHeader-1],
		"other version": otherVersion,
		"line break":    append(good[:len(good):len(good)], "\r\nx-admin: 1"...),
		"too long":      append(good[:recordHeader:recordHeader], make([]byte, maxToken+1)...),
	} {
		require.Empty(t, decodeRecord(b), name)
	}
}
