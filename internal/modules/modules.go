// Package modules finds the module that a pin names: in the registry, or in build/ when that holds exactly the pinned image.
package modules

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/image"
)

const (
	dialTimeout = 3 * time.Second
	pullTimeout = time.Minute
)

// Options say where to look.
type Options struct {
	Build     string // folder of compiled modules
	Filters   string // folder of the filters, for their plugin.yaml
	PlainHTTP bool   // talk HTTP to the registry
	Offline   bool   // ask no registry
}

// Source finds modules and remembers them.
type Source struct {
	build, filters string
	plainHTTP      bool
	offline        bool
	options        []remote.Option
	say            func(format string, args ...any)

	known map[string][]byte // by digest
	down  map[string]error  // registries that could not be reached, by host
}

// New makes a source; say is told when build/ stands in for a registry.
func New(o Options, say func(format string, args ...any)) *Source {
	transport := remote.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
	transport.ResponseHeaderTimeout = pullTimeout / 2
	return &Source{
		build:     o.Build,
		filters:   o.Filters,
		plainHTTP: o.PlainHTTP,
		offline:   o.Offline,
		options: []remote.Option{
			remote.WithTransport(transport),
			remote.WithAuthFromKeychain(authn.DefaultKeychain),
			remote.WithUserAgent("wasmfleet"),
			remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
		},
		say:   say,
		known: map[string][]byte{},
		down:  map[string]error{},
	}
}

// Missing is a pin that can be had neither from a registry nor from build/.
type Missing struct{ error }

func (m *Missing) Unwrap() error { return m.error }

// Get is the module of the image. It is asked once for each digest.
func (m *Source) Get(ctx context.Context, ref image.Ref) ([]byte, error) {
	if module, ok := m.known[ref.Digest]; ok {
		return module, nil
	}
	module, pullErr := m.pull(ctx, ref)
	if pullErr != nil {
		var digest string
		var err error
		module, digest, err = m.Built(ref.Filter(), ref.Digest)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, &Missing{fmt.Errorf(`%s: pulling failed (%w), and no build to use instead (%w). run "make publish FILTER=%s" or "make build FILTER=%[4]s"`,
				ref, pullErr, err, ref.Filter())}
		case digest != ref.Digest:
			return nil, &Missing{fmt.Errorf(`%s: pulling failed (%w), and %s is another image (%s). run "make publish FILTER=%s", or "make build FILTER=%[5]s" at the revision of the pin`,
				ref, pullErr, m.File(ref.Filter()), digest, ref.Filter())}
		}
		m.say("%s: pulling it failed (%v). %s is the pinned image and is used instead", ref.Filter(), pullErr, m.File(ref.Filter()))
	}
	m.known[ref.Digest] = module
	return module, nil
}

var errOffline = errors.New("--offline")

func (m *Source) pull(ctx context.Context, ref image.Ref) ([]byte, error) {
	if m.offline {
		return nil, errOffline
	}
	host, _, _ := strings.Cut(ref.Repo, "/")
	if err := m.down[host]; err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	module, err := image.Pull(ctx, ref, m.plainHTTP, m.options...)
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		// The other pins are likely to be in the same registry, and each would wait as long.
		err = dial
		m.down[host] = err
	}
	return module, err
}

// Again forgets which registries could not be reached.
func (m *Source) Again() { clear(m.down) }

// Built is the module in build/ and the digest of the image that publish would make of it: the wanted digest, if one of the
// forms of an image has it.
func (m *Source) Built(filter, want string) (module []byte, digest string, err error) {
	f, err := catalog.Find(m.filters, filter)
	if err != nil {
		return nil, "", err
	}
	if module, err = os.ReadFile(m.File(filter)); err != nil {
		return nil, "", err
	}
	for _, form := range []image.Form{image.Compat, image.Artifact} {
		image, err := image.Build(module, f, form)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", m.File(filter), err)
		}
		hash, err := image.Digest()
		if err != nil {
			return nil, "", err
		}
		if digest = hash.String(); digest == want {
			break
		}
	}
	return module, digest, nil
}

func (m *Source) File(filter string) string { return filepath.Join(m.build, filter+".wasm") }
