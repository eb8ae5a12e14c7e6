package envoy

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a program has logged is seen after Sync, however slow the reader is.
func TestSync(t *testing.T) {
	said := filepath.Join(t.TempDir(), "said")
	seen := 0
	p, err := Start("/bin/sh", []string{"-c", `for i in 1 2 3 4 5 6 7 8 9 10; do echo $i >&2; done; : >"$SAID"; exec sleep 60`}, []string{"SAID=" + said}, func(LogEntry) {
		time.Sleep(20 * time.Millisecond)
		seen++
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool { _, err := os.Stat(said); return err == nil }, time.Minute, time.Millisecond)
	p.Sync()
	require.Equal(t, 10, seen)
	p.Stop()
	p.Sync()
}
