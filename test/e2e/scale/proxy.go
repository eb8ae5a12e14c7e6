package main

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"istio.io/istio/pilot/pkg/model"
	v3 "istio.io/istio/pilot/pkg/xds/v3"
	"istio.io/istio/pkg/config/constants"
)

// kinds are what the proxies watch, as a sidecar does.
var kinds = []string{v3.ClusterType, v3.ListenerType, v3.RouteType, v3.ExtensionConfigurationType}

// Traffic is what istiod sent of a kind.
type traffic struct {
	Bytes   int64
	Proxies map[int]bool // who got it
}

// proxies are simulated: each has a connection and a delta stream of its own, as the agent has since Istio 1.22, asks for what its
// listeners name, and acks.
type proxies struct {
	fleet fleet
	names *names

	mu       sync.Mutex
	have     []map[string]bool // filters that a proxy has acked
	listened []bool            // who has acked listeners
	sent     map[string]*traffic
	mark     []byte
	marked   map[int]bool // who has acked a filter with the mark
	last     time.Time    // of the last message
}

func newProxies(f fleet) *proxies {
	p := &proxies{fleet: f, names: &names{seed: maphash.MakeSeed(), known: map[uint64]named{}}, have: make([]map[string]bool, f.Proxies), listened: make([]bool, f.Proxies)}
	p.count("")
	return p
}

// count begins to count anew.
func (p *proxies) count(mark string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mark, p.marked, p.last = []byte(mark), map[int]bool{}, time.Now()
	p.sent = map[string]*traffic{}
	for _, k := range kinds {
		p.sent[k] = &traffic{Proxies: map[int]bool{}}
	}
}

// run connects all and reads until the context ends.
func (p *proxies) run(ctx context.Context, address string) error {
	group, ctx := errgroup.WithContext(ctx)
	for i := range p.fleet.Proxies {
		group.Go(func() error {
			if err := p.one(ctx, address, i); err != nil && ctx.Err() == nil {
				return fmt.Errorf("proxy %d: %w", i, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (p *proxies) one(ctx context.Context, address string, i int) error {
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32))) // as the agent
	if err != nil {
		return err
	}
	defer conn.Close()
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		return err
	}
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: v3.ClusterType, Node: p.node(i)}); err != nil {
		return err
	}
	if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: v3.ListenerType}); err != nil {
		return err
	}
	watched := map[string]map[string]bool{v3.RouteType: {}, v3.ExtensionConfigurationType: {}}
	for {
		response, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := stream.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: response.TypeUrl, ResponseNonce: response.Nonce}); err != nil {
			return err
		}
		if response.TypeUrl == v3.ListenerType {
			found, err := p.names.of(response.Resources)
			if err != nil {
				return err
			}
			for kind, names := range map[string][]string{v3.RouteType: found.routes, v3.ExtensionConfigurationType: found.filters} {
				request := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: kind}
				for _, n := range names {
					if !watched[kind][n] {
						watched[kind][n] = true
						request.ResourceNamesSubscribe = append(request.ResourceNamesSubscribe, n)
					}
				}
				if len(request.ResourceNamesSubscribe) > 0 {
					if err := stream.Send(request); err != nil {
						return err
					}
				}
			}
		}
		p.acked(i, response)
	}
}

func (p *proxies) node(i int) *corev3.Node {
	ns := p.fleet.namespace(i)
	ip := fmt.Sprintf("10.%d.%d.%d", 1+i/62500, i/250%250, 1+i%250)
	return &corev3.Node{
		Id: fmt.Sprintf("sidecar~%s~web-%d.%s~%s.svc.cluster.local", ip, i, ns, ns),
		Metadata: model.NodeMetadata{
			Namespace: ns, ClusterID: constants.DefaultClusterName, IstioVersion: "1.31.0", Labels: map[string]string{"app": p.fleet.workload(i)},
			ServiceAccount: "default", InstanceIPs: []string{ip},
		}.ToStruct(),
	}
}

// acked notes what a proxy has acked.
func (p *proxies) acked(i int, r *discoveryv3.DeltaDiscoveryResponse) {
	size := int64(proto.Size(r))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
	if t := p.sent[r.TypeUrl]; t != nil {
		t.Bytes += size
		t.Proxies[i] = true
	}
	switch r.TypeUrl {
	case v3.ListenerType:
		p.listened[i] = true
	case v3.ExtensionConfigurationType:
		if p.have[i] == nil {
			p.have[i] = map[string]bool{}
		}
		for _, e := range r.Resources {
			p.have[i][e.Name] = true
			if len(p.mark) > 0 && bytes.Contains(e.Resource.GetValue(), p.mark) {
				p.marked[i] = true
			}
		}
	}
}

// complete: each proxy has its listeners and its filters.
func (p *proxies) complete() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.have {
		if !p.listened[i] || len(p.have[i]) < p.want(i) {
			return false
		}
	}
	return true
}

// want is how many filters a proxy gets.
func (p *proxies) want(proxy int) (n int) {
	if p.fleet.Form == everyone {
		return p.fleet.Plugins
	}
	for plugin := range p.fleet.Plugins {
		if p.fleet.gets(proxy, plugin) {
			n++
		}
	}
	return n
}

// reached: each proxy that gets the plugin has acked it with the mark.
func (p *proxies) reached(plugin int) func() bool {
	want := 0
	for i := range p.fleet.Proxies {
		if p.fleet.gets(i, plugin) {
			want++
		}
	}
	return func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.marked) >= want
	}
}

// silence is for how long nothing may come before a push counts as done.
const silence = time.Second

// wait is over when the condition holds and nothing comes any more. It returns how long after began the condition held, and the last
// message came.
func (p *proxies) wait(ctx context.Context, began time.Time, holds func() bool) (held, last time.Duration, err error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if held == 0 && holds() {
			held = time.Since(began)
		}
		p.mu.Lock()
		at := p.last
		p.mu.Unlock()
		if held > 0 && time.Since(at) > silence {
			return held, max(held, at.Sub(began)), nil
		}
		select {
		case <-ctx.Done():
			return held, at.Sub(began), context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// names are what listeners name. Most proxies have the same listeners, and a thousand proxies would be busy with reading them.
type names struct {
	seed  maphash.Seed
	mu    sync.Mutex
	known map[uint64]named
}

type named struct{ routes, filters []string }

func (n *names) of(listeners []*discoveryv3.Resource) (all named, err error) {
	for _, r := range listeners {
		key := maphash.Bytes(n.seed, r.Resource.GetValue())
		n.mu.Lock()
		one, ok := n.known[key]
		n.mu.Unlock()
		if !ok {
			if one, err = read(r); err != nil {
				return all, err
			}
			n.mu.Lock()
			n.known[key] = one
			n.mu.Unlock()
		}
		all.routes = append(all.routes, one.routes...)
		all.filters = append(all.filters, one.filters...)
	}
	return all, nil
}

func read(r *discoveryv3.Resource) (n named, err error) {
	var l listenerv3.Listener
	if err := r.Resource.UnmarshalTo(&l); err != nil {
		return n, err
	}
	for _, chain := range append(l.FilterChains, l.DefaultFilterChain) {
		for _, f := range chain.GetFilters() {
			var manager hcmv3.HttpConnectionManager
			if !f.GetTypedConfig().MessageIs(&manager) {
				continue
			}
			if err := f.GetTypedConfig().UnmarshalTo(&manager); err != nil {
				return n, err
			}
			if name := manager.GetRds().GetRouteConfigName(); name != "" {
				n.routes = append(n.routes, name)
			}
			for _, h := range manager.HttpFilters {
				if h.GetConfigDiscovery() != nil {
					n.filters = append(n.filters, h.Name)
				}
			}
		}
	}
	return n, nil
}
