package run

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

const (
	pollInterval  = 100 * time.Millisecond
	retryInterval = 2 * time.Second
)

// watch follows the rendered folder and build/ by reading them again and again. Render replaces the whole folder by a rename,
// after which a watch of the old folder, or of the files in it, would never report anything; and what an editor or git does to
// single files takes several steps. So a change counts when two readings in a row agree on it.
func (s *session) watch(ctx context.Context, served map[string][]byte) error {
	followed := reading{files: served, builds: s.builds()}
	previous := followed
	var retry time.Time
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.proxy.Done():
			return s.proxy.Err()
		case <-poll.C:
		}
		now := s.read()
		settled, changed := now.equal(previous), !now.equal(followed)
		previous = now
		if !settled || !changed && (retry.IsZero() || time.Now().Before(retry)) {
			continue
		}
		s.notePins(followed.builds, now.builds)
		complete, err := s.follow(ctx, now, changed)
		if err != nil {
			return err
		}
		followed, retry = now, time.Time{}
		if !complete {
			retry = time.Now().Add(retryInterval)
		}
	}
}

// reading is the state of what is watched.
type reading struct {
	files  map[string][]byte
	err    error
	builds map[string]int64 // when the modules in build/ were written, by filter
}

func (r reading) equal(other reading) bool {
	return maps.EqualFunc(r.files, other.files, slices.Equal) && maps.Equal(r.builds, other.builds) &&
		fmt.Sprint(r.err) == fmt.Sprint(other.err)
}

func (s *session) read() reading {
	r := reading{builds: s.builds()}
	r.files, r.err = plugin.Files(s.env.Rendered())
	return r
}

func (s *session) builds() map[string]int64 {
	builds := map[string]int64{}
	files, _ := filepath.Glob(s.modules.File("*"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			builds[strings.TrimSuffix(filepath.Base(file), ".wasm")] = info.ModTime().UnixNano()
		}
	}
	return builds
}

// notePins says why a module that was just built is not what serves.
func (s *session) notePins(before, now map[string]int64) {
	for _, v := range s.chain {
		filter := v.ref.Filter()
		if before[filter] == now[filter] {
			continue
		}
		if _, digest, err := s.modules.Built(filter, v.ref.Digest); err == nil && digest != v.ref.Digest {
			s.say(`%s: %s is new, but %s pins %s. publish, promote and render it to see it here`, v.Plugin.Name, s.modules.File(filter), s.env.Name, v.ref.Digest)
		}
	}
}
