package manifests

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// Lock makes everybody else who writes below the folder of manifests wait until unlock, or until this process ends. It tells on
// stderr that it waits, and gives up after a while.
func Lock(ctx context.Context, dir string, wait time.Duration, stderr io.Writer) (unlock func(), err error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cli.Usage("no folder of manifests at %s. run this from the repository's root, or give it with --dir", dir)
	}
	if err != nil {
		return nil, err
	}
	for start, told := time.Now(), false; ; {
		switch busy, err := tryLock(f); {
		case err != nil:
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", dir, err)
		case !busy:
			removeLeftovers(dir)
			return func() { f.Close() }, nil
		case time.Since(start) >= wait:
			f.Close()
			return nil, fmt.Errorf("another command writes to %s. nothing was written; try again, or wait longer with --wait", dir)
		}
		if !told {
			fmt.Fprintf(stderr, "waiting for another command that writes to %s\n", dir)
			told = true
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// removeLeftovers removes the temporary files that a killed command has left beside pins.
func removeLeftovers(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, "overlays", "*", "digests", atomicfile.Temporary))
	for _, file := range left {
		os.Remove(file)
	}
}
