package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
)

// differences are the files of dir that are missing or have other bytes than objects, and the files that are too many.
func differences(dir string, objects []object) (changed, extra []string, err error) {
	want := map[string]bool{}
	for _, o := range objects {
		want[o.file] = true
		got, err := os.ReadFile(filepath.Join(dir, o.file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		if err != nil || !bytes.Equal(got, o.yaml) {
			changed = append(changed, filepath.Join(dir, o.file))
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	for _, e := range entries {
		if !want[e.Name()] {
			extra = append(extra, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(changed)
	return changed, extra, nil
}

// write puts the objects into a new folder beside dir and exchanges the two: a reader of dir, or a crash, sees all of the old
// files or all of the new ones.
func write(dir string, objects []object) error {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	if err := removeLeftovers(parent, filepath.Base(dir)); err != nil {
		return err
	}
	next, err := os.MkdirTemp(parent, "."+filepath.Base(dir)+"-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(next) // after the exchange: the old files
	for _, o := range objects {
		if err := os.WriteFile(filepath.Join(next, o.file), o.yaml, 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(next, 0o755); err != nil {
		return err
	}
	return atomicfile.ReplaceDir(dir, next)
}

// removeLeftovers removes what a killed render left.
func removeLeftovers(parent, name string) error {
	left, err := filepath.Glob(filepath.Join(parent, "."+name+"-*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}
