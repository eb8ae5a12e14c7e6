package atomicfile

import (
	"errors"
	"io/fs"
	"os"
)

// ReplaceDir puts the folder next in the place of dir in one step and leaves the old files, if there were any, in next. On a
// system or file system that cannot exchange two folders it moves dir away first, which is two steps.
func ReplaceDir(dir, next string) error {
	switch err := exchange(dir, next); {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return os.Rename(next, dir)
	case !errors.Is(err, errors.ErrUnsupported):
		return &os.LinkError{Op: "exchange", Old: next, New: dir, Err: err}
	}
	old := next + ".old"
	if err := os.Rename(dir, old); err != nil {
		return err
	}
	if err := os.Rename(next, dir); err != nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return os.Rename(old, next)
}
