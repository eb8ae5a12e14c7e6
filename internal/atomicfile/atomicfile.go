// Package atomicfile writes files and folders that are there whole or not at all.
package atomicfile

import (
	"os"
	"path/filepath"
)

// Temporary is the pattern of the files that Write works in, which a killed one leaves.
const Temporary = ".tmp-*"

// Write replaces the content of file in one step: a reader sees the old bytes or the new ones, also after a crash. A failure
// leaves the old file and nothing else. The folder must exist.
func Write(file string, data []byte) error {
	tmp, err := stage(filepath.Dir(file), data)
	if err != nil {
		return err
	}
	defer os.Remove(tmp) // fails when the rename has happened
	return os.Rename(tmp, file)
}

// stage writes a temporary file in dir, down to the disk.
func stage(dir string, data []byte) (path string, err error) {
	tmp, err := os.CreateTemp(dir, Temporary)
	if err != nil {
		return "", err
	}
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
		os.Remove(tmp.Name())
	}
	return tmp.Name(), err
}
