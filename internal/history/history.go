// Package history is what git knows of the pins: which commit set each, and when.
package history

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// Commit is one of git's.
type Commit struct {
	ID      string    `json:"id"`
	Author  string    `json:"author"`
	Time    time.Time `json:"time"`
	Subject string    `json:"subject"`
}

// Version is what a file of pins said from a commit on.
type Version struct {
	Commit
	Pins manifests.Pins // none where the file was not there, or could not be read as pins
}

// Repository is the git repository that a folder is in.
type Repository struct {
	root string
	// Shallow says that git has only the last commits, so that a pin may be older than the oldest of them.
	Shallow bool
}

// Open finds the repository of a folder.
func Open(ctx context.Context, dir string) (*Repository, error) {
	out, err := git(ctx, dir, "rev-parse", "--show-toplevel", "--is-shallow-repository")
	if err != nil {
		return nil, err
	}
	root, shallow, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return &Repository{root, shallow == "true"}, nil
}

func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if said, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n"); said != "" {
			return nil, fmt.Errorf("git %s in %s: %s", args[0], dir, said)
		}
		return nil, fmt.Errorf("git %s in %s: %w", args[0], dir, err)
	}
	return out, nil
}

// Versions are those of a file of pins, the newest first; renames of the file are followed.
func (r *Repository) Versions(ctx context.Context, file string) ([]Version, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, err
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		return nil, err
	}
	out, err := git(ctx, dir, "log", "--follow", "--format=%x00%H%x1f%an%x1f%cI%x1f%s", "--name-only", "--", filepath.Base(abs))
	if err != nil {
		if strings.Contains(err.Error(), "does not have any commits") {
			return nil, nil
		}
		return nil, err
	}
	var versions []Version
	var wanted bytes.Buffer // of cat-file
	for entry := range strings.SplitSeq(strings.TrimPrefix(string(out), "\x00"), "\x00") {
		head, names, _ := strings.Cut(entry, "\n")
		name := strings.TrimSpace(names)
		field := strings.Split(head, "\x1f")
		if len(field) != 4 || name == "" {
			continue // no commit yet, or a merge that changes nothing itself
		}
		when, err := time.Parse(time.RFC3339, field[2])
		if err != nil {
			return nil, fmt.Errorf("git log of %s: %w", file, err)
		}
		versions = append(versions, Version{Commit: Commit{field[0], field[1], when, field[3]}})
		fmt.Fprintf(&wanted, "%s:%s\n", field[0], name)
	}
	return versions, r.read(ctx, &wanted, versions)
}

// read fills in the pins of each version.
func (r *Repository) read(ctx context.Context, wanted io.Reader, versions []Version) error {
	cmd := exec.CommandContext(ctx, "git", "cat-file", "--batch")
	cmd.Dir, cmd.Stdin = r.root, wanted
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("git cat-file: %w", err)
	}
	objects := bufio.NewReader(bytes.NewReader(out))
	for i := range versions {
		head, err := objects.ReadString('\n')
		if err != nil {
			return fmt.Errorf("git cat-file: %w", err)
		}
		field := strings.Fields(head)
		size, err := strconv.Atoi(field[len(field)-1])
		if err != nil {
			continue // missing: the commit that removed it
		}
		content := make([]byte, size+1)
		if _, err := io.ReadFull(objects, content); err != nil {
			return fmt.Errorf("git cat-file: %w", err)
		}
		if pins, err := manifests.ParsePins(versions[i].ID, content); err == nil {
			versions[i].Pins = pins
		}
	}
	return nil
}

// Since is the commit that set the pin which stands now: the oldest of those, without a gap, that have it. It is nil when the pin is
// not committed.
func Since(versions []Version, filter string, now image.Ref) *Commit {
	var since *Commit
	for i := range versions {
		if versions[i].Pins[filter] != now {
			break
		}
		since = &versions[i].Commit
	}
	return since
}

// First is the oldest commit that pinned that image; nil when none did.
func First(versions []Version, filter, digest string) *Commit {
	for i := len(versions) - 1; i >= 0; i-- {
		if ref, ok := versions[i].Pins[filter]; ok && ref.Digest == digest {
			return &versions[i].Commit
		}
	}
	return nil
}

// Commits are those after one commit and up to another that changed a folder; an error when git has not both.
func (r *Repository) Commits(ctx context.Context, after, to, dir string) ([]Commit, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	out, err := git(ctx, r.root, "log", "--format=%H%x1f%an%x1f%cI%x1f%s", after+".."+to, "--", abs)
	if err != nil {
		return nil, err
	}
	var commits []Commit
	for line := range strings.Lines(string(out)) {
		field := strings.Split(strings.TrimSuffix(line, "\n"), "\x1f")
		if len(field) != 4 {
			continue
		}
		when, err := time.Parse(time.RFC3339, field[2])
		if err != nil {
			return nil, errors.Join(errors.New("git log"), err)
		}
		commits = append(commits, Commit{field[0], field[1], when, field[3]})
	}
	return commits, nil
}
