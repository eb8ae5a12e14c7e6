package programs

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// `make e2e` runs this before the other tests: what is built here, they find in the cache.
func TestPath(t *testing.T) {
	compile(t, all...)
	for _, tool := range all {
		started := time.Now()
		info, err := os.Stat(Path(t, tool))
		require.NoError(t, err)
		t.Logf("%s: %d MB after %s", tool, info.Size()>>20, time.Since(started).Round(time.Second))
	}
}
