package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	"istio.io/istio/pkg/wasm"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// moduleSize is about that of a filter of this repository.
const moduleSize = 100_000

// A counter counts what a handler answers.
type counter struct {
	http.Handler
	requests, bytes atomic.Int64
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.requests.Add(1)
	c.Handler.ServeHTTP(&counted{w, c}, r)
}

type counted struct {
	http.ResponseWriter
	counter *counter
}

func (c *counted) Write(b []byte) (int, error) {
	c.counter.bytes.Add(int64(len(b)))
	return c.ResponseWriter.Write(b)
}

// pullThrough is a registry's cache in small: each answer is asked for once.
type pullThrough struct {
	upstream string // URL
	group    singleflight.Group
	answers  sync.Map
}

func (p *pullThrough) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Method + " " + r.URL.Path
	answer, ok := p.answers.Load(key)
	if !ok {
		var err error
		answer, err, _ = p.group.Do(key, func() (any, error) {
			if known, ok := p.answers.Load(key); ok {
				return known, nil
			}
			a, err := p.ask(r.Method, r.URL.Path, r.Header)
			if err == nil && a.status == http.StatusOK {
				p.answers.Store(key, a)
			}
			return a, err
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
	}
	a := answer.(*kept)
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

type kept struct {
	status int
	header http.Header
	body   []byte
}

func (p *pullThrough) ask(method, path string, header http.Header) (*kept, error) {
	request, err := http.NewRequest(method, p.upstream+path, nil) // not the first client's context: others wait for the answer, too
	if err != nil {
		return nil, err
	}
	request.Header = header.Clone()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return &kept{response.StatusCode, response.Header, body}, err
}

// A rollout is one pin that so many proxies fetch, each with so many plugins of that image.
type rollout struct {
	Proxies, Plugins int
	PullThrough      bool

	Registry, Cache struct{ Requests, Bytes int64 } // what the registry and the cache before it answered
	Took            time.Duration
}

// at is how many proxies fetch at the same time.
const at = 64

func (r *rollout) run(ctx context.Context) error {
	upstream := &counter{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	server := httptest.NewServer(upstream)
	defer server.Close()
	pin, err := push(strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		return err
	}
	cache := &counter{Handler: &pullThrough{upstream: server.URL}}
	if r.PullThrough {
		mirror := httptest.NewServer(cache)
		defer mirror.Close()
		pin = strings.Replace(pin, strings.TrimPrefix(server.URL, "http://"), strings.TrimPrefix(mirror.URL, "http://"), 1)
	}
	upstream.requests.Store(0)
	upstream.bytes.Store(0)
	dir, err := os.MkdirTemp("", "scale-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(at)
	for i := range r.Proxies {
		group.Go(func() error { return r.agent(ctx, filepath.Join(dir, fmt.Sprint(i)), pin) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	r.Took = time.Since(began)
	r.Registry.Requests, r.Registry.Bytes = upstream.requests.Load(), upstream.bytes.Load()
	r.Cache.Requests, r.Cache.Bytes = cache.requests.Load(), cache.bytes.Load()
	return nil
}

// agent is the one of a proxy: it takes the image for each of its plugins.
func (r *rollout) agent(ctx context.Context, dir, pin string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cache := wasm.NewLocalFileCache(dir, wasm.Options{HTTPRequestMaxRetries: 5})
	defer cache.Cleanup()
	for plugin := range r.Plugins {
		file, err := cache.Get("oci://"+pin, wasm.GetOptions{ResourceName: fmt.Sprint(plugin), RequestTimeout: 30 * time.Second})
		if err != nil {
			return err
		}
		if info, err := os.Stat(file); err != nil || info.Size() != moduleSize {
			return errors.Join(err, errors.New("the cache gave another module"))
		}
	}
	return nil
}

// push puts an image as publish makes them into the registry, and returns its pin.
func push(host string) (string, error) {
	module := make([]byte, moduleSize)
	rand.NewChaCha8([32]byte{}).Read(module)
	copy(module, "\x00asm\x01\x00\x00\x00")
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1),
		static.NewLayer([]byte("{}"), "application/vnd.module.wasm.config.v1+json"),
		static.NewLayer(bytes.Clone(module), "application/vnd.module.wasm.content.layer.v1+wasm"))
	if err != nil {
		return "", err
	}
	tag, err := name.NewTag(host + "/filters/filter:v1")
	if err != nil {
		return "", err
	}
	if err := remote.Write(tag, image); err != nil {
		return "", err
	}
	digest, err := image.Digest()
	return tag.String() + "@" + digest.String(), err
}

// registries prints a line for each roll-out.
func registries(ctx context.Context, stdout io.Writer, most int, progress cli.Progress) error {
	c := csv.NewWriter(stdout)
	_ = c.Write([]string{"proxies", "plugins", "pull_through", "registry_requests", "registry_bytes", "cache_requests", "cache_bytes", "seconds"}) // Error has it
	for _, r := range []rollout{
		{Proxies: 10, Plugins: 1}, {Proxies: 100, Plugins: 1}, {Proxies: 1000, Plugins: 1}, {Proxies: 1000, Plugins: 3},
		{Proxies: 1000, Plugins: 1, PullThrough: true},
	} {
		r.Proxies = min(r.Proxies, most)
		progress.Step(fmt.Sprintf("%d proxies pull", r.Proxies))
		if err := r.run(ctx); err != nil {
			return err
		}
		_ = c.Write([]string{
			fmt.Sprint(r.Proxies), fmt.Sprint(r.Plugins), fmt.Sprint(r.PullThrough), fmt.Sprint(r.Registry.Requests), fmt.Sprint(r.Registry.Bytes),
			fmt.Sprint(r.Cache.Requests), fmt.Sprint(r.Cache.Bytes), fmt.Sprintf("%.2f", r.Took.Seconds()),
		})
	}
	c.Flush()
	return c.Error()
}
