package run

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/plugin"
	"github.com/wasmfleet/wasmfleet/internal/preflight"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/standin"
)

// version is a plugin with everything that it needs to run.
type version struct {
	sandbox.Filter
	ref      image.Ref
	callouts map[string]string // purpose by cluster
	config   [sha256.Size]byte // of everything that Envoy is told but the module
	module   [sha256.Size]byte
}

// resolve gets the plugin's module and asks the filter whether it accepts its configuration.
func (s *session) resolve(ctx context.Context, p *plugin.Plugin) (*version, error) {
	v := &version{Filter: sandbox.Filter{Plugin: p}}
	wasm, err := p.HTTPFilter(nil)
	if err != nil {
		return nil, cli.Finding("%w", err)
	}
	config, err := proto.MarshalOptions{Deterministic: true}.Marshal(wasm)
	if err != nil {
		return nil, err
	}
	if v.ref, err = s.image(p); err != nil {
		return nil, cli.Finding("%s: %s: %w", p.File, p, err)
	}
	if v.callouts, err = standin.Callouts(s.filters, v.ref.Filter(), p); err != nil {
		return nil, cli.Finding("%w", err)
	}
	if v.Module, err = s.modules.Get(ctx, v.ref); err != nil {
		return nil, err
	}
	v.config, v.module = sha256.Sum256(config), sha256.Sum256(v.Module)
	return v, s.check(ctx, v)
}

// image is the pinned image of the plugin.
func (s *session) image(p *plugin.Plugin) (image.Ref, error) {
	url := p.Spec.Url
	if strings.HasPrefix(url, manifests.Scheme) {
		return image.Ref{}, fmt.Errorf(`url %q is not pinned. run "make promote TO=%s" and "make render ENV=%[2]s"`, url, s.env.Name)
	}
	if scheme, rest, ok := strings.Cut(url, "://"); ok {
		if url = rest; scheme != "oci" {
			return image.Ref{}, fmt.Errorf("url %q: want an image, oci://host/path/filter:version@sha256:…", p.Spec.Url)
		}
	}
	if sum := p.Spec.Sha256; sum != "" && !strings.Contains(url, "@") {
		url += "@sha256:" + sum
	}
	return image.ParseRef(url)
}

// check runs the preflight, once for each version.
func (s *session) check(ctx context.Context, v *version) error {
	key := [2][sha256.Size]byte{v.config, v.module}
	if s.accepted[key] {
		return nil
	}
	err := preflight.Check(ctx, s.envoy, v.Plugin, v.Module)
	var refused *envoy.Refused
	switch {
	case err == nil:
		s.accepted[key] = true
	case errors.As(err, &refused):
		return cli.Finding("%s: %s: %s", v.Plugin.File, v.Plugin, refused.Reason)
	}
	return err
}

// since says what makes v another version than old.
func (v *version) since(old *version) string {
	switch {
	case v.module != old.module && v.config != old.config:
		return "new module and configuration in service"
	case v.module != old.module:
		return "new module in service: " + v.ref.Digest
	case v.config != old.config:
		return "new configuration in service"
	case v.ref != old.ref:
		return "another image of the same module: " + v.ref.String()
	}
	return ""
}
