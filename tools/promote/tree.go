package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// leftover is the pattern of the folders beside the manifests that a promote works in. A killed one leaves its folder.
const leftover = ".promote-*"

// tree is a folder of manifests, locked. Pins and rendered manifests are different files in different folders, and no system
// call changes both. So promote prepares a copy of all of it and exchanges the two folders, which is one call: at no time does
// the tree hold the one without the other.
type tree struct {
	dir  string   // as the user gave it
	real string   // absolute, without links
	lock *os.File // the folder that holds it
	work string   // the folder beside it, once there is one
	old  string   // in work: what the copy was made from
	next string   // in work: the copy that replaces dir
}

// openTree locks the folder and removes what killed promotes left beside it.
func openTree(ctx context.Context, dir string, wait time.Duration, stderr io.Writer) (*tree, error) {
	real, err := filepath.Abs(dir)
	if err == nil {
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(filepath.Join(real, ".git")); err == nil {
		return nil, cli.Usage("--dir %s is a repository itself, and promote replaces the folder. move the manifests into a folder of it", dir)
	}
	if cwd, err := os.Getwd(); err == nil && (cwd+"/" == real+"/" || strings.HasPrefix(cwd, real+"/")) {
		return nil, cli.Usage("this is a folder in %s, which promote replaces. run it from %s", dir, filepath.Dir(real))
	}
	t := &tree{dir: dir, real: real}
	if t.lock, err = os.Open(filepath.Dir(real)); err != nil {
		return nil, err
	}
	if err := t.acquire(ctx, wait, stderr); err != nil {
		t.lock.Close()
		return nil, err
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(real), leftover))
	for _, dir := range left {
		os.RemoveAll(dir)
	}
	return t, nil
}

func (t *tree) acquire(ctx context.Context, wait time.Duration, stderr io.Writer) error {
	for start, told := time.Now(), false; ; {
		switch busy, err := tryLock(t.lock); {
		case err != nil:
			return fmt.Errorf("locking %s: %w", filepath.Dir(t.real), err)
		case !busy:
			return nil
		case time.Since(start) >= wait:
			return fmt.Errorf("another promote works on %s. nothing was written; try again, or wait longer with --wait", t.dir)
		}
		if !told {
			fmt.Fprintf(stderr, "promote: waiting for another promote on %s\n", t.dir)
			told = true
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// close removes the working folder and unlocks.
func (t *tree) close() {
	if t.work != "" {
		os.RemoveAll(t.work)
	}
	t.lock.Close()
}

// copy makes the copy that will replace the tree.
func (t *tree) copy() (string, error) {
	var err error
	if t.work, err = os.MkdirTemp(filepath.Dir(t.real), leftover); err != nil {
		return "", err
	}
	// git does not see the folder, also when this process is killed.
	if err := os.WriteFile(filepath.Join(t.work, ".gitignore"), []byte("*\n"), 0o644); err != nil {
		return "", err
	}
	t.old, t.next = filepath.Join(t.work, "old"), filepath.Join(t.work, filepath.Base(t.real))
	if t.next == t.old {
		t.old += "-"
	}
	if err := clone(t.real, t.old); err != nil {
		return "", err
	}
	return t.next, clone(t.old, t.next)
}

// replace puts the copy into place, unless somebody changed the tree meanwhile.
func (t *tree) replace() error {
	if err := equal(t.old, t.real); err != nil {
		return fmt.Errorf("%w. nothing was written; run promote again", t.named(err))
	}
	return atomicfile.ReplaceDir(t.real, t.next)
}

// name is text with the copy's paths as those of the tree.
func (t *tree) name(text string) string { return strings.ReplaceAll(text, t.next, t.dir) }

func (t *tree) named(err error) error { return errors.New(t.name(err.Error())) }

var link = os.Link // a test has a file system without links

// clone makes a folder with the same files as from: links to them where the file system can, so that it costs little and a
// file edited in place is edited in both.
func clone(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case e.IsDir():
			info, err := e.Info()
			if err != nil {
				return err
			}
			if err := os.MkdirAll(target, 0o755); err != nil {
				return err
			}
			return os.Chmod(target, info.Mode().Perm()|0o700)
		case e.Type() == fs.ModeSymlink:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		case !e.Type().IsRegular():
			return fmt.Errorf("%s is neither a file nor a folder", path)
		}
		if link(path, target) == nil {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, info.Mode().Perm())
	})
}

// equal says where the two folders differ.
func equal(before, now string) error {
	for _, way := range [][2]string{{before, now}, {now, before}} {
		err := filepath.WalkDir(way[0], func(path string, e fs.DirEntry, err error) error {
			rel := strings.TrimPrefix(path, way[0])
			changed := fmt.Errorf("%s changed while promote worked", filepath.Join(now, rel))
			if err != nil {
				return err
			}
			a, err := e.Info()
			if err != nil {
				return changed
			}
			b, err := os.Lstat(filepath.Join(way[1], rel))
			if err != nil || a.Mode().Type() != b.Mode().Type() {
				return changed
			}
			if !e.Type().IsRegular() || os.SameFile(a, b) {
				return nil
			}
			one, err1 := os.ReadFile(path)
			two, err2 := os.ReadFile(filepath.Join(way[1], rel))
			if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
				return changed
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
