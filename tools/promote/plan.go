package promote

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
)

// offer is what may be promoted, and the file that says so.
type offer struct {
	pins  manifests.Pins
	facts map[string]manifests.ModuleFacts // by digest, as far as they are known
	file  string
	// optional are filters that nobody deploys by promoting all.
	optional map[string]bool
	hint     string // what brings more pins into the file
}

// offered are the pins of the references file or of the upstream.
func offered(o options, env manifests.Environment) (offer, error) {
	switch {
	case o.refs != "" && !env.Entry():
		return offer{}, cli.Usage("%s takes its pins from %s. promote references to an environment whose upstream is none, then from there", env.Name, env.Upstream)
	case o.refs != "":
		pins, err := manifests.ReadRefs(o.refs, o.unpublished)
		if err != nil {
			return offer{}, err
		}
		return published(o.filters, offer{pins: pins, file: o.refs, hint: "publish it first"})
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
	facts, err := upstream.Facts()
	return offer{pins: pins, facts: facts, file: upstream.PinsFile(), hint: "promote it to " + upstream.Name + " first"}, err
}

// published adds what is known of what was just published: what the sources say.
func published(dir string, o offer) (offer, error) {
	filters, err := catalog.Load(dir)
	if err != nil {
		return offer{}, err
	}
	o.facts, o.optional = map[string]manifests.ModuleFacts{}, map[string]bool{}
	for _, f := range filters {
		o.optional[f.Name] = f.Optional
		if ref, ok := o.pins[f.Name]; ok {
			o.facts[ref.Digest] = manifests.FactsOf(f)
		}
	}
	return o, nil
}

// change is a pin that differs from what the environment has.
type change struct {
	filter   string
	from, to image.Ref // from is empty for the first pin of a filter, to for the last
}

func (c change) String() string {
	switch {
	case c.to == (image.Ref{}):
		return fmt.Sprintf("%s: %s removed: nothing renders it", c.filter, short(c.from))
	case c.from == (image.Ref{}):
		return fmt.Sprintf("%s: %s (new)", c.filter, c.to)
	}
	return fmt.Sprintf("%s: %s -> %s", c.filter, short(c.from), c.to)
}

// short is enough of a reference to recognise it.
func short(r image.Ref) string {
	const digits = len("sha256:") + 12
	return r.Tag + "@" + r.Digest[:min(digits, len(r.Digest))]
}

// planned is the environment with its new pins, in memory, and what they change.
type planned struct {
	env     manifests.Environment
	changes []change
}

// images are those of the new pins.
func (p planned) images() (refs []image.Ref) {
	for _, c := range p.changes {
		if c.to != (image.Ref{}) {
			refs = append(refs, c.to)
		}
	}
	return refs
}

// plan is what promoting the filters, or all on offer, changes in the environment. A pin that nothing renders would change nothing:
// for a filter that was named, or was just published, that is an error; one of many is left out, and said. Pins that nothing renders
// any more go when all filters are promoted.
func plan(env manifests.Environment, offer offer, filters []string, namespace string, say func(format string, args ...any)) (planned, error) {
	p := planned{env: env}
	named := len(filters) > 0 || env.Entry()
	pins, err := chosen(env, offer, filters)
	if err != nil {
		return p, err
	}
	before, err := built(env)
	if err != nil {
		return p, err
	}
	for _, filter := range slices.Sorted(maps.Keys(pins)) {
		if before.Renders(filter) {
			continue
		}
		line, overlay := env.WhereToAdd(filter)
		_, noBase := os.Stat(filepath.Join(env.Manifests, "base", filter))
		switch {
		case len(filters) == 0 && offer.optional[filter]:
			say("%s is left out: it is optional, and nothing in %s renders it. name it to deploy it there", filter, env.Name)
			delete(pins, filter)
		case !named:
			say("%s is left out: nothing in %s renders it. add %q to the resources of %s to promote it", filter, env.Name, line, overlay)
			delete(pins, filter)
		case noBase != nil:
			return p, cli.Finding("%s: no such base. a filter is deployed from there; add it before its first promotion", filepath.Join(env.Manifests, "base", filter))
		case !env.Entry():
			return p, cli.Finding("%s: nothing there renders filter %q, so its pin would change nothing. add %q to resources", overlay, filter, line)
		default: // its birth: the overlay's line and the pin come together
			overlay, err := env.OverlayFor(filter, namespace)
			if err != nil {
				return p, err
			}
			if p.env, err = p.env.WithFilter(overlay, filter); err != nil {
				return p, err
			}
			say("%s: added to the resources of %s", filter, overlay)
		}
	}
	for _, filter := range slices.Sorted(maps.Keys(pins)) {
		for _, from := range distinct(before.Pinned(filter)) {
			if from != pins[filter] {
				p.changes = append(p.changes, change{filter, from, pins[filter]})
			}
		}
	}
	facts := map[string]manifests.ModuleFacts{}
	for _, ref := range pins {
		if known, ok := offer.facts[ref.Digest]; ok {
			facts[ref.Digest] = known
		}
	}
	if p.env, err = p.env.WithFacts(facts); err != nil {
		return p, err
	}
	if p.env, err = p.env.WithPins(pins); err != nil {
		return p, fmt.Errorf("pinning in %s: %w", env.Name, err)
	}
	if len(filters) == 0 {
		err = p.removeUnused(before, pins)
	}
	return p, err
}

// chosen are the pins to set: those on offer of the filters, or all.
func chosen(env manifests.Environment, offer offer, filters []string) (manifests.Pins, error) {
	if len(offer.pins) == 0 {
		return nil, cli.Finding("%s: no pin to promote to %s. %s", offer.file, env.Name, offer.hint)
	}
	if len(filters) == 0 {
		filters = slices.Collect(maps.Keys(offer.pins))
	}
	pins := manifests.Pins{}
	for _, filter := range filters {
		ref, ok := offer.pins[filter]
		if !ok {
			return nil, cli.Usage("%s: no pin of %q to promote. %s. on offer: %s", offer.file, filter, offer.hint, strings.Join(slices.Sorted(maps.Keys(offer.pins)), ", "))
		}
		if env.Registry != "" {
			ref.Repo = env.Registry + "/" + filter
		}
		pins[filter] = ref
	}
	return pins, nil
}

// removeUnused takes out the pins of filters that nothing renders and that are not on their way.
func (p *planned) removeUnused(before *manifests.Result, coming manifests.Pins) (err error) {
	var unused []string
	for _, f := range before.Pins {
		for _, filter := range slices.Sorted(maps.Keys(f.Pins)) {
			if _, ok := coming[filter]; !ok && !before.Renders(filter) && !slices.Contains(unused, filter) {
				unused = append(unused, filter)
				p.changes = append(p.changes, change{filter: filter, from: f.Pins[filter]})
			}
		}
	}
	if len(unused) > 0 {
		p.env, err = p.env.WithoutPins(unused...)
	}
	return err
}

// built is the environment, to see what it renders; what is wrong with it is said when it is built with its new pins.
func built(env manifests.Environment) (*manifests.Result, error) {
	r, err := manifests.Build(env, nil, func(string) {})
	if err != nil {
		return nil, cli.Finding("rendering %s: %w. nothing was written", env.Name, err)
	}
	return r, nil
}

// distinct are the references without repetition; none is one that is empty.
func distinct(refs []image.Ref) []image.Ref {
	if len(refs) == 0 {
		return []image.Ref{{}}
	}
	var all []image.Ref
	for _, r := range refs {
		if !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}
