package kustomize

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Files are the files on disk, some of them with content that is not written yet.
type Files struct {
	filesys.FileSystem
	changed map[string][]byte // by absolute path without links
}

// OnDisk are the files as they are.
func OnDisk() Files { return Files{filesys.MakeFsOnDisk(), map[string][]byte{}} }

// With are the files with other content in one of them, whose folder must exist.
func (f Files) With(path string, content []byte) (Files, error) {
	real, err := realPath(path)
	if err != nil {
		return f, err
	}
	next := Files{f.FileSystem, map[string][]byte{real: content}}
	for path, content := range f.changed {
		if path != real {
			next.changed[path] = content
		}
	}
	return next, nil
}

// ReadFile implements filesys.FileSystem. Kustomize reads by absolute paths without links.
func (f Files) ReadFile(path string) ([]byte, error) {
	if content, ok := f.changed[path]; ok {
		return content, nil
	}
	return f.FileSystem.ReadFile(path)
}

// Exists implements filesys.FileSystem.
func (f Files) Exists(path string) bool { return f.has(path) || f.FileSystem.Exists(path) }

// CleanedAbs implements filesys.FileSystem: kustomize asks where a file really is before it reads it.
func (f Files) CleanedAbs(path string) (filesys.ConfirmedDir, string, error) {
	if real, err := realPath(path); err == nil && f.has(path) {
		return filesys.ConfirmedDir(filepath.Dir(real)), filepath.Base(real), nil
	}
	return f.FileSystem.CleanedAbs(path)
}

// has reports whether the content of a file is changed in memory.
func (f Files) has(path string) bool {
	if len(f.changed) == 0 {
		return false
	}
	real, err := realPath(path)
	_, changed := f.changed[real]
	return err == nil && changed
}

// real is the path of a file without symbolic links; of one that is not written yet, too.
func (f Files) real(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) && f.has(path) {
		dir, err := filepath.EvalSymlinks(filepath.Dir(path))
		return filepath.Join(dir, filepath.Base(path)), err
	}
	return real, err
}

// Read is the content of a file of the tree, by any path, unless it is larger than a file of manifests may be.
func (f Files) Read(path string) ([]byte, error) {
	if f.has(path) {
		real, err := realPath(path)
		return f.changed[real], err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	if err == nil && len(content) > maxFileBytes {
		err = fmt.Errorf("%s is larger than %d bytes. split it", path, maxFileBytes)
	}
	return content, err
}

func realPath(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) { // it is not written yet
		dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
		return filepath.Join(dir, filepath.Base(abs)), err
	}
	return real, err
}
