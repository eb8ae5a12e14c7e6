package main

import (
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"github.com/stretchr/testify/require"
)

// The fixture's program is called "a) S (b", which a reader that splits at spaces would stumble over.
func TestUsage(t *testing.T) {
	fs, err := procfs.NewFS("testdata/proc")
	require.NoError(t, err)
	u, err := usageOf(fs, 26)
	require.NoError(t, err)
	require.Equal(t, 1677*10*time.Millisecond+44*10*time.Millisecond, u.cpu)
	require.Positive(t, u.rss)

	_, err = usageOf(fs, 27)
	require.ErrorContains(t, err, "reading process 27")
}

func TestUsageCounts(t *testing.T) {
	fs, err := procfs.NewDefaultFS()
	require.NoError(t, err)
	self, err := fs.Self()
	require.NoError(t, err)
	before, err := usageOf(fs, self.PID)
	require.NoError(t, err)
	for began := time.Now(); time.Since(began) < 200*time.Millisecond; {
	}
	after, err := usageOf(fs, self.PID)
	require.NoError(t, err)
	require.Greater(t, after.cpu, before.cpu)
}
