package dev

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// stamp is what of a file tells that it was written.
type stamp struct {
	written time.Time
	size    int64
}

// reading is the state of what is watched. It is read again and again: editors and git replace files and folders by renames, after which
// a watch of the old ones would report nothing.
type reading struct {
	sources map[string]stamp // what the module is made of
	objects map[string]stamp // what configures it, and its examples
}

func (o options) read() (reading, error) {
	r := reading{map[string]stamp{}, map[string]stamp{}}
	own := filepath.Join(o.filters(), o.filter)
	folders := []string{own, filepath.Join(o.filters(), "internal"), filepath.Join(o.manifests(), "base", o.filter)}
	if o.env != "" {
		folders = append(folders, filepath.Join(o.manifests(), "base"), filepath.Join(o.manifests(), "components"), filepath.Join(o.manifests(), "overlays", o.env))
	}
	for _, dir := range folders {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			switch name := filepath.Base(path); {
			case err != nil:
				return err
			case e.IsDir() && (name == "testdata" || strings.HasPrefix(name, ".") && path != dir):
				return fs.SkipDir
			case e.IsDir(), strings.HasPrefix(name, "."), strings.HasSuffix(name, "~"), strings.HasSuffix(name, "_test.go"), strings.HasSuffix(name, ".md"):
				return nil
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			into := r.sources
			if ext := filepath.Ext(path); ext == ".yaml" || ext == ".yml" || filepath.Base(path) == "config.schema.json" {
				into = r.objects
			}
			into[path] = stamp{info.ModTime(), info.Size()}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a folder may be missing, and a file may go while we look
			return r, err
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		if info, err := os.Stat(filepath.Join(o.root, name)); err == nil {
			r.sources[name] = stamp{info.ModTime(), info.Size()}
		}
	}
	return r, nil
}

func (r reading) equal(other reading) bool {
	return maps.Equal(r.sources, other.sources) && maps.Equal(r.objects, other.objects)
}

// saved is when the last of what differs from before was written; now when nothing says it, as of a file that was removed.
func (r reading) saved(before reading) time.Time {
	var last time.Time
	for _, both := range [][2]map[string]stamp{{r.sources, before.sources}, {r.objects, before.objects}} {
		for path, s := range both[0] {
			if s != both[1][path] && s.written.After(last) {
				last = s.written
			}
		}
	}
	if since := time.Since(last); last.IsZero() || since < 0 || since > 5*time.Second {
		return time.Now() // such as a file of an older commit
	}
	return last
}
