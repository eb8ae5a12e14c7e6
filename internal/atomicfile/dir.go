package atomicfile

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// WriteDir makes the folder dir hold exactly the files, by their paths below it. Where two folders can be exchanged this is one step:
// a reader, or a crash, sees all of the old files or all of the new ones. Where they cannot, such as a mount or the lower layer of
// an overlay, each file is replaced in one step, after the bytes of all are on the disk. A failure before the first step changes
// nothing. Two calls for one folder must not run at the same time: what a killed one has left is removed.
func WriteDir(dir string, files map[string][]byte) error {
	dir = followed(dir) // a link stays
	parent, name := filepath.Split(filepath.Clean(dir))
	if err := os.MkdirAll(filepath.Clean(parent), 0o755); err != nil {
		return err
	}
	for _, left := range Left(dir) {
		if err := os.RemoveAll(left); err != nil {
			return err
		}
	}
	next, err := os.MkdirTemp(parent, "."+name+"-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(next) // after the exchange: the old files
	for path, content := range files {
		path = filepath.Join(next, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(next, 0o755); err != nil {
		return err
	}
	switch err := exchange(dir, next); {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return os.Rename(next, dir)
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.EXDEV), errors.Is(err, syscall.EBUSY):
		return replaceEach(dir, files)
	default:
		return &os.LinkError{Op: "exchange", Old: next, New: dir, Err: err}
	}
}

// Left are the folders that a killed WriteDir has left beside dir.
func Left(dir string) []string {
	parent, name := filepath.Split(filepath.Clean(followed(dir)))
	left, _ := filepath.Glob(filepath.Join(parent, "."+name+"-*"))
	return left
}

// followed is where a link leads, and what is none as it is.
func followed(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		return real
	}
	return dir
}

// replaceEach is WriteDir file by file.
func replaceEach(dir string, files map[string][]byte) (err error) {
	staged := map[string]string{} // temporary file by the one that it becomes
	defer func() {
		for _, tmp := range staged {
			os.Remove(tmp) // fails when it was renamed
		}
	}()
	for path, content := range files {
		path = filepath.Join(dir, path)
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if staged[path], err = stage(filepath.Dir(path), content); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(staged)) {
		if err := os.Rename(staged[path], path); err != nil {
			return err
		}
	}
	var folders []string
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			folders = append(folders, path)
			return nil
		}
		if rel, err := filepath.Rel(dir, path); err != nil || files[filepath.ToSlash(rel)] != nil {
			return err
		}
		return os.Remove(path)
	})
	for _, folder := range slices.Backward(folders) {
		if folder != dir {
			os.Remove(folder) // fails when something is in it
		}
	}
	return err
}
