package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/envoy"
)

// files is the folder that Envoy reads its configuration from. Every write is a rename, as Envoy only looks then.
type files string

func (dir files) bootstrap() string        { return filepath.Join(string(dir), "bootstrap.json") }
func (dir files) listeners() string        { return filepath.Join(string(dir), "lds.json") }
func (dir files) clusters() string         { return filepath.Join(string(dir), "cds.json") }
func (dir files) adminAddress() string     { return filepath.Join(string(dir), "admin") }
func (dir files) filter(id string) string  { return filepath.Join(string(dir), "ecds-"+id+".json") }
func (dir files) module(sum string) string { return filepath.Join(string(dir), sum+".wasm") }

func (dir files) writeBootstrap() error {
	data, err := envoy.Marshal(envoy.Bootstrap(dir.listeners(), dir.clusters()))
	if err != nil {
		return err
	}
	return atomicfile.Write(dir.bootstrap(), data)
}

// writeModule writes the module under the digest of its bytes: Envoy does not load a path again, whatever it holds.
func (dir files) writeModule(module []byte) (path string, err error) {
	sum := sha256.Sum256(module)
	path = dir.module(hex.EncodeToString(sum[:]))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, atomicfile.Write(path, module)
}

// extension is the filter's ECDS resource. Its module is in place when it returns.
func (dir files) extension(f Filter) (*corev3.TypedExtensionConfig, error) {
	path, err := dir.writeModule(f.Module)
	if err != nil {
		return nil, err
	}
	config, err := f.Plugin.HTTPFilter(envoy.LocalFile(path))
	if err != nil {
		return nil, err
	}
	if f.HoldsHeaders {
		config.Config.AllowOnHeadersStopIteration = wrapperspb.Bool(true)
	}
	return envoy.Extension(f.Plugin.ID(), config)
}

func (dir files) writeFilter(resource *corev3.TypedExtensionConfig) error {
	return writeResources(dir.filter(resource.Name), resource)
}

func (p *Proxy) writeListener(chain []string) error {
	var filters []*hcmv3.HttpFilter
	tap := func() error {
		if !p.taps {
			return nil
		}
		filter, err := tapFilter(len(filters) / 2)
		filters = append(filters, filter)
		return err
	}
	if err := tap(); err != nil {
		return err
	}
	for _, id := range chain {
		filter, err := envoy.Discovered(id, envoy.FromFile(p.dir.filter(id)), &wasmfilterv3.Wasm{})
		if err != nil {
			return err
		}
		filters = append(filters, filter)
		if err := tap(); err != nil {
			return err
		}
	}
	listener, err := envoy.Listener(listenerName, p.listen, filters, p.routes)
	if err != nil {
		return err
	}
	return writeResources(p.dir.listeners(), listener)
}

func (dir files) writeClusters(upstreams map[string]netip.AddrPort) error {
	var clusters []*clusterv3.Cluster
	for _, name := range slices.Sorted(maps.Keys(upstreams)) {
		clusters = append(clusters, envoy.Cluster(name, upstreams[name]))
	}
	return writeResources(dir.clusters(), clusters...)
}

func writeResources[M proto.Message](file string, resources ...M) error {
	data, err := envoy.Resources(resources...)
	if err != nil {
		return err
	}
	return atomicfile.Write(file, data)
}
