package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/kustomize"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/standin"
)

// chain is what a proxy runs, and the clusters that its filters call, by name.
type chain struct {
	filters []sandbox.Filter
	purpose map[string]string // of the callout, by cluster
	absent  []string          // why a filter of others is left out
}

// objects are the plugins of the environment's overlay, as it is now; without an environment the one of the filter's base.
func (o options) objects() (plugins []*plugin.Plugin, err error) {
	if o.env == "" {
		p, err := o.base()
		return []*plugin.Plugin{p}, err
	}
	env, err := manifests.Load(o.manifests(), o.env)
	if err != nil {
		return nil, err
	}
	filters, err := catalog.Load(o.filters())
	if err != nil {
		return nil, err
	}
	r, err := manifests.Build(env, filters, func(string) {})
	if err == nil {
		err = r.Undecoded
	}
	if err != nil {
		return nil, cli.Finding("%w", err)
	}
	namespace := o.namespace
	for _, p := range r.Plugins {
		if namespace == "" && manifests.FilterOf(p.Spec.Url) == o.filter {
			namespace = p.Namespace
		}
	}
	if namespace == "" {
		p, err := o.base()
		if err != nil {
			return nil, err
		}
		for _, other := range r.Plugins {
			namespace = other.Namespace
		}
		p.Namespace = namespace
		plugins = append(plugins, p)
	}
	for _, p := range r.Plugins {
		if p.Namespace == namespace || p.Namespace == env.Selection().RootNamespace {
			plugins = append(plugins, p.Plugin)
		}
	}
	return plugins, nil
}

// base is the plugin of manifests/base/<filter>, or one without a configuration where that is not there.
func (o options) base() (*plugin.Plugin, error) {
	dir := filepath.Join(o.manifests(), "base", o.filter)
	files := map[string][]byte{}
	if _, err := os.Stat(dir); err == nil {
		resources, _, err := kustomize.Build(kustomize.OnDisk(), o.manifests(), dir, func(string) {})
		if err != nil {
			return nil, cli.Finding("%w", err)
		}
		for _, r := range resources {
			content, err := r.AsYAML()
			if err != nil {
				return nil, err
			}
			files[fmt.Sprintf("%s/%s_%s", dir, strings.ToLower(r.GetKind()), r.GetName())] = content
		}
	} else {
		object, err := json.Marshal(map[string]any{
			"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "metadata": map[string]any{"name": o.filter},
			"spec": map[string]any{"url": manifests.Scheme + o.filter, "failStrategy": "FAIL_RELOAD", "pluginName": o.filter},
		})
		if err != nil {
			return nil, err
		}
		files[dir] = object
	}
	plugins, err := plugin.Plugins(files)
	if err != nil {
		return nil, cli.Finding("%w", err)
	}
	for _, p := range plugins {
		if manifests.FilterOf(p.Spec.Url) == o.filter {
			return p, nil
		}
	}
	return nil, cli.Finding("%s: no object has url %s%s", dir, manifests.Scheme, o.filter)
}

// chain puts modules to the plugins: the one that was just built to the filter, to the others their pins, or what make build made.
func (s *session) chain(ctx context.Context, plugins []*plugin.Plugin, module []byte, config *structpb.Struct) (chain, error) {
	c := chain{purpose: map[string]string{}}
	s.modules.Again()
	for _, p := range plugins {
		name := manifests.FilterOf(p.Spec.Url)
		m := module
		if name != s.o.filter {
			var err error
			if m, err = s.other(ctx, name, p); err != nil {
				c.absent = append(c.absent, fmt.Sprintf("%s is left out: %v", p.Name, err))
				continue
			}
		} else if config != nil {
			copied := *p
			copied.WasmPlugin = p.DeepCopy()
			copied.Spec.PluginConfig = config
			p = &copied
		}
		callouts, err := standin.Callouts(s.o.filters(), name, p)
		if err != nil {
			return c, cli.Finding("%w", err)
		}
		for cluster, purpose := range callouts {
			c.purpose[cluster] = purpose
		}
		sources, err := catalog.Find(s.o.filters(), name)
		holds := err == nil && sources.StopIteration != "" // there are no sources of a vendor's image
		c.filters = append(c.filters, sandbox.Filter{Plugin: p, Module: m, HoldsHeaders: holds})
	}
	return c, nil
}

func (s *session) other(ctx context.Context, name string, p *plugin.Plugin) ([]byte, error) {
	ref, err := image.ParseRef(strings.TrimPrefix(p.Spec.Url, "oci://"))
	if err == nil {
		var module []byte
		if module, err = s.modules.Get(ctx, ref); err == nil {
			return module, nil
		}
	}
	if built, failed := os.ReadFile(s.modules.File(name)); failed == nil {
		return built, nil
	}
	return nil, errors.Join(err)
}

// upstreams are the addresses of what the chain calls.
func (s *session) upstreams(c chain) (map[string]netip.AddrPort, error) {
	upstreams := map[string]netip.AddrPort{}
	for cluster, purpose := range c.purpose {
		address, err := s.services.Address(purpose)
		if err != nil {
			return nil, err
		}
		upstreams[cluster] = address
	}
	for cluster, address := range s.called {
		upstreams[cluster] = address
	}
	return upstreams, nil
}
