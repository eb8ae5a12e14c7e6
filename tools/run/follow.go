package run

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/wasmfleet/wasmfleet/internal/modules"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
)

// follow puts what was read into service, as far as it can be had and is accepted; everything else stays as it was. It is
// incomplete when a module was not to be had, which another try may change. Only an Envoy that does not answer is an error.
func (s *session) follow(ctx context.Context, r reading, loud bool) (complete bool, err error) {
	plugins, err := s.plugins(r.files)
	if r.err != nil {
		err = r.err
	}
	if err != nil {
		s.say("%v. what served before serves on", err)
		return true, nil
	}
	s.modules.Again()
	complete = true
	old := byID(s.chain)
	var next []*version
	for _, p := range plugins {
		v, err := s.resolve(ctx, p)
		if ctx.Err() != nil {
			return false, nil
		}
		if err != nil {
			var missing *modules.Missing
			complete = complete && !errors.As(err, &missing)
			v = old[p.ID()]
			if loud {
				s.say("%v. %s", err, meanwhile(v))
			}
		}
		if v != nil {
			next = append(next, v)
		}
	}
	// A version that stays keeps its old place.
	slices.SortStableFunc(next, func(a, b *version) int { return plugin.Compare(a.Plugin, b.Plugin) })
	return complete, s.apply(ctx, next)
}

// apply changes the proxy and says what changed, as Envoy tells it.
func (s *session) apply(ctx context.Context, next []*version) error {
	upstreams, err := s.upstreams(next)
	if err != nil {
		return err
	}
	refused, err := s.proxy.Apply(ctx, filters(next), upstreams)
	if err != nil {
		return err
	}
	old := byID(s.chain)
	now := byID(next)
	for _, r := range refused {
		s.say("%v. %s", r, meanwhile(old[r.ID]))
		now[r.ID] = old[r.ID]
	}
	var chain []*version
	for _, v := range next {
		id := v.Plugin.ID()
		if v = now[id]; v == nil {
			continue
		}
		chain = append(chain, v)
		if was := old[id]; was == nil {
			s.say("%s: added: %s", v.Plugin.Name, v.ref)
		} else if change := v.since(was); change != "" {
			s.say("%s: %s", v.Plugin.Name, change)
		}
	}
	for _, v := range s.chain {
		if now[v.Plugin.ID()] == nil {
			s.say("%s: removed", v.Plugin.Name)
		}
	}
	if order := names(chain); !slices.Equal(order, names(s.chain)) {
		s.say("the chain is now %s", strings.Join(order, ", "))
	}
	s.chain = chain
	return nil
}

func meanwhile(old *version) string {
	if old == nil {
		return "it is left out"
	}
	return "the version before serves on"
}

func byID(chain []*version) map[string]*version {
	versions := map[string]*version{}
	for _, v := range chain {
		versions[v.Plugin.ID()] = v
	}
	return versions
}

func names(chain []*version) (names []string) {
	for _, v := range chain {
		names = append(names, v.Plugin.Name)
	}
	return names
}
