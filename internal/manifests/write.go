package manifests

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
)

// Differences are the files of the environment's rendered folder that are missing or have other bytes, and those that are too many.
func (r *Result) Differences() (changed, extra []string, err error) {
	dir := r.Env.Rendered()
	want := r.Files()
	for file, content := range want {
		got, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		if err != nil || !bytes.Equal(got, content) {
			changed = append(changed, filepath.Join(dir, file))
		}
	}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if _, wanted := want[filepath.ToSlash(rel)]; !wanted {
			extra = append(extra, path)
		}
		return err
	})
	slices.Sort(changed)
	return changed, extra, err
}

// Left reports whether a Write that was killed has left something beside the rendered folder.
func (r *Result) Left() bool { return len(atomicfile.Left(r.Env.Rendered())) > 0 }

// Write makes the environment's rendered folder hold exactly the rendered objects. Who calls it holds the lock.
func (r *Result) Write() error { return atomicfile.WriteDir(r.Env.Rendered(), r.Files()) }
