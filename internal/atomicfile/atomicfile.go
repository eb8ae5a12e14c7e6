// Package atomicfile writes files that are there whole or not at all.
package atomicfile

import (
	"os"
	"path/filepath"
)

// Write replaces the content of file in one step: a reader sees the old bytes or the new ones, also after a crash. A failure
// leaves the old file and nothing else. The folder must exist.
func Write(file string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails when the rename has happened
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}
