package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/wasmfleet/wasmfleet/internal/filterimage"
)

// publisher pushes images; all of them share its connections and logins.
type publisher struct {
	ctx     context.Context
	options []remote.Option
}

func newPublisher(ctx context.Context, t http.RoundTripper) *publisher {
	return &publisher{ctx, []remote.Option{
		remote.WithContext(ctx),
		remote.WithTransport(t),
		remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithUserAgent("wasmfleet-publish"),
	}}
}

// push writes the blobs, then the manifest under its tag, fetches the image back by digest and checks what Istio's agent
// would take from it. Until the manifest is written the tag stays as it was.
func (p *publisher) push(j job) error {
	if err := remote.Push(j.tag, j.image, p.options...); err != nil {
		return fmt.Errorf("pushing %s: %w", j.tag, p.explain(j, err))
	}
	ref, err := j.ref()
	if err != nil {
		return err
	}
	img, err := remote.Image(j.tag.Digest(ref.Digest), p.options...)
	if err == nil {
		err = filterimage.SameModule(img, j.module)
	}
	if err != nil {
		return fmt.Errorf("checking %s after the push: %w", ref, p.explain(j, err))
	}
	return nil
}

// explain adds what the user can do.
func (p *publisher) explain(j job, err error) error {
	host := j.tag.RegistryStr()
	var answer *transport.Error
	var dns *net.DNSError
	var unknownCA x509.UnknownAuthorityError
	var dial *net.OpError
	switch {
	case errors.As(err, &answer) && (answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden):
		return fmt.Errorf("%s refuses the credentials (%d). run \"docker login %s\"; they are read from ~/.docker/config.json or $DOCKER_CONFIG", host, answer.StatusCode, host)
	case errors.As(err, &unknownCA):
		return fmt.Errorf("%w. give the registry's root certificate with --ca-file", err)
	case errors.As(err, &dns):
		return fmt.Errorf("%w. check the host in --repo", err)
	case errors.As(err, &dial):
		return fmt.Errorf("%w. is the registry up? --repo says %s", err, host)
	}
	return err
}
