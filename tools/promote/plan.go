package promote

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// offer is what may be promoted, and the file that says so.
type offer struct {
	pins manifests.Pins
	file string
	hint string // what brings more pins into the file
}

// offered are the pins of the references file or of the upstream.
func offered(o options, env manifests.Environment) (offer, error) {
	switch {
	case o.refs != "" && !env.Entry():
		return offer{}, cli.Usage("%s takes its pins from %s. promote references to an environment whose upstream is none, then from there", env.Name, env.Upstream)
	case o.refs != "":
		pins, err := readRefs(o.refs)
		return offer{pins, o.refs, "publish it first"}, err
	case env.Entry():
		return offer{}, cli.Usage("%s has no upstream: say which images with --refs FILE, as publish wrote it", env.Name)
	}
	upstream, err := manifests.Load(o.dir, env.Upstream)
	if err != nil {
		return offer{}, cli.Finding("%s: upstream: %w", filepath.Join(env.Dir, manifests.File), err)
	}
	pins, err := upstream.Pins()
	if err != nil {
		return offer{}, err
	}
	return offer{pins, upstream.PinsFile(), "promote it to " + upstream.Name + " first"}, nil
}

// readRefs reads one reference a line; empty lines are skipped.
func readRefs(file string) (manifests.Pins, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pins := manifests.Pins{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		if text == "" {
			continue
		}
		ref, err := image.ParseRef(text)
		if err != nil {
			return nil, cli.Finding("%s:%d: %w", file, n, err)
		}
		if old, twice := pins[ref.Filter()]; twice && old != ref {
			return nil, cli.Finding("%s:%d: a second reference of %s. keep one", file, n, ref.Filter())
		}
		pins[ref.Filter()] = ref
	}
	return pins, lines.Err()
}

// change is a pin that differs from what the environment has.
type change struct {
	filter   string
	from, to image.Ref // from is empty for the first pin of a filter
}

func (c change) String() string {
	if c.from == (image.Ref{}) {
		return fmt.Sprintf("%s: %s (new)", c.filter, c.to)
	}
	return fmt.Sprintf("%s: %s -> %s", c.filter, short(c.from), c.to)
}

// short is enough of a reference to recognise it.
func short(r image.Ref) string {
	const digits = len("sha256:") + 12
	return r.Tag + "@" + r.Digest[:min(digits, len(r.Digest))]
}

// plan is what promoting the filters, or all on offer, changes in the environment.
func plan(dir string, env manifests.Environment, offer offer, filters []string) ([]change, error) {
	if len(offer.pins) == 0 {
		return nil, cli.Finding("%s: no pin to promote to %s. %s", offer.file, env.Name, offer.hint)
	}
	if len(filters) == 0 {
		filters = slices.Sorted(maps.Keys(offer.pins))
	}
	current, err := env.Pins()
	if err != nil {
		return nil, err
	}
	var changes []change
	for _, filter := range filters {
		ref, ok := offer.pins[filter]
		if !ok {
			return nil, cli.Usage("%s: no pin of %q to promote. %s. on offer: %s", offer.file, filter, offer.hint, strings.Join(slices.Sorted(maps.Keys(offer.pins)), ", "))
		}
		if _, err := os.Stat(filepath.Join(dir, "base", filter)); err != nil {
			return nil, cli.Finding("%s: no such base. a filter is deployed from there; add it before its first promotion", filepath.Join(dir, "base", filter))
		}
		if env.Registry != "" {
			ref.Repo = env.Registry + "/" + filter
		}
		c := change{filter, current[filter], ref}
		if c.from != c.to && !slices.Contains(changes, c) {
			changes = append(changes, c)
		}
	}
	return changes, nil
}
