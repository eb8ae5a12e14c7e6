package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
)

// Refused is a version of a filter that Envoy did not take. What served before serves on.
type Refused struct {
	ID     string // of the plugin
	Reason string // the filter's own words, or Envoy's
}

func (r *Refused) Error() string { return fmt.Sprintf("%s: refused: %s", r.ID, r.Reason) }

// Apply makes the filters, in this order, the chain, and returns when requests meet it. Filters that are refused stay as they
// were, or out of the chain if they were not in it, and are returned; the others are applied. When filters come, go or change
// places, connections that are open already get one more answer from the old chain and are then closed.
//
// The order of the steps keeps every request served: clusters before the filters that call them, a module before the
// configuration that names it, a filter's configuration before the listener that wants it.
func (p *Proxy) Apply(ctx context.Context, filters []Filter, upstreams map[string]netip.AddrPort) (refused []*Refused, err error) {
	if err := p.applyUpstreams(ctx, upstreams); err != nil {
		return nil, err
	}
	var chain []string
	added := map[string]discovery{} // with the counters so far: a filter may have been here before
	for _, f := range filters {
		resource, err := p.dir.extension(f)
		if err != nil {
			return refused, err
		}
		id := resource.Name
		chain = append(chain, id)
		var r *Refused
		switch {
		case !slices.Contains(p.chain, id):
			if added[id], err = p.discovery(ctx, id); err == nil {
				err = p.dir.writeFilter(resource)
			}
			p.serving[id] = resource
		case !proto.Equal(resource, p.serving[id]):
			r, err = p.replace(ctx, resource)
		}
		if err != nil {
			return refused, err
		}
		if r != nil {
			refused = append(refused, r)
		}
	}
	mark := p.process.Mark()
	if err := p.applyChain(ctx, chain); err != nil {
		return refused, err
	}
	var accepted []string
	for _, id := range chain {
		if before, ok := added[id]; ok {
			if now, err := p.discovery(ctx, id); err != nil {
				return refused, err
			} else if now.failed > before.failed {
				refused = append(refused, &Refused{id, p.reason(mark)})
				continue
			}
		}
		accepted = append(accepted, id)
	}
	return refused, p.applyChain(ctx, accepted)
}

// applyUpstreams only ever adds clusters: a filter that is on its way out may still call the old ones.
func (p *Proxy) applyUpstreams(ctx context.Context, upstreams map[string]netip.AddrPort) error {
	next := maps.Clone(p.upstreams)
	maps.Copy(next, upstreams)
	if maps.Equal(next, p.upstreams) {
		return nil
	}
	if err := p.update(ctx, "cluster_manager.cds", func() error { return p.dir.writeClusters(next) }); err != nil {
		return fmt.Errorf("changing clusters: %w", err)
	}
	p.upstreams = next
	return nil
}

func (p *Proxy) applyChain(ctx context.Context, chain []string) error {
	if slices.Equal(chain, p.chain) {
		return nil
	}
	err := p.update(ctx, "listener_manager.lds", func() error { return p.writeListener(chain) })
	if err == nil {
		err = p.wait(ctx, changeTimeout, "the new filter chain", func() (bool, error) {
			s, err := p.admin.Stats(ctx, `^listener_manager\.total_listeners_warming$`)
			return s["listener_manager.total_listeners_warming"] == 0, err
		})
	}
	if err != nil {
		return fmt.Errorf("changing the filter chain: %w", err)
	}
	p.chain = chain
	return nil
}

// update writes a file and waits until the subscription of that name has taken it.
func (p *Proxy) update(ctx context.Context, subscription string, write func() error) error {
	pattern := "^" + regexp.QuoteMeta(subscription) + `\.update_`
	before, err := p.admin.Stats(ctx, pattern)
	if err != nil {
		return err
	}
	mark := p.process.Mark()
	if err := write(); err != nil {
		return err
	}
	return p.wait(ctx, changeTimeout, subscription, func() (bool, error) {
		now, err := p.admin.Stats(ctx, pattern)
		grown := func(stat string) bool { return now[subscription+stat] > before[subscription+stat] }
		if err == nil && (grown(".update_rejected") || grown(".update_failure")) {
			err = errors.New(p.reason(mark))
		}
		return grown(".update_success"), err
	})
}

// refusal is the last version of a filter that was refused.
type refusal struct {
	resource *corev3.TypedExtensionConfig
	err      *Refused
}

// replace gives a filter in service a new configuration.
func (p *Proxy) replace(ctx context.Context, resource *corev3.TypedExtensionConfig) (*Refused, error) {
	if last, ok := p.refused[resource.Name]; ok && proto.Equal(last.resource, resource) {
		return last.err, nil // Envoy remembers a refusal as well, but not the filter's words
	}
	mark := p.process.Mark()
	ok, err := p.try(ctx, resource)
	if err != nil {
		return nil, err
	}
	if ok {
		p.serving[resource.Name] = resource
		return nil, nil
	}
	refused := &Refused{resource.Name, p.reason(mark)}
	p.refused[resource.Name] = refusal{resource, refused}
	// Envoy never tries a resource again that it has just refused, and would call it a success. So the file goes back to what
	// is in service.
	_, err = p.try(ctx, p.serving[resource.Name])
	return refused, err
}

// try reports whether Envoy took the resource.
func (p *Proxy) try(ctx context.Context, resource *corev3.TypedExtensionConfig) (ok bool, err error) {
	before, err := p.discovery(ctx, resource.Name)
	if err != nil {
		return false, err
	}
	if err := p.dir.writeFilter(resource); err != nil {
		return false, err
	}
	err = p.wait(ctx, changeTimeout, "the new version of "+resource.Name, func() (bool, error) {
		now, err := p.discovery(ctx, resource.Name)
		ok = now.failed == before.failed
		return now.settled > before.settled && now.reloaded > before.reloaded, err
	})
	return ok, err
}

// discovery are the counters of a filter's ECDS subscription. A version was taken when all workers have it (reloaded) and the
// subscription has its verdict (settled) and it is no failure; Envoy counts refused versions as reloaded, too.
type discovery struct{ settled, reloaded, failed int }

func (p *Proxy) discovery(ctx context.Context, id string) (discovery, error) {
	prefix := "extension_config_discovery.http_filter." + id + "."
	s, err := p.admin.Stats(ctx, "^"+regexp.QuoteMeta(prefix))
	return discovery{
		settled:  s[prefix+"update_success"] + s[prefix+"update_rejected"] + s[prefix+"update_failure"],
		reloaded: s[prefix+"config_reload"],
		failed:   s[prefix+"config_fail"],
	}, err
}

// reason is what was logged since the mark. The log comes through a pipe and may be a moment behind.
func (p *Proxy) reason(mark int) string {
	for range 20 {
		if r := envoy.Reason(p.process.Since(mark)); r != "" {
			return r
		}
		time.Sleep(5 * time.Millisecond)
	}
	return "Envoy gives no reason"
}
