package promote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/wasmfleet/wasmfleet/internal/attest"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
)

const verifyTimeout = time.Minute

// verify pulls each new pin as the proxies will: by its digest, with the module out of it.
func verify(ctx context.Context, changes []change, plainHTTP bool) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	for _, c := range changes {
		if c.to == (image.Ref{}) {
			continue
		}
		_, err := image.Pull(ctx, c.to, plainHTTP, remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("wasmfleet-promote"))
		var answer *transport.Error
		var network net.Error
		switch {
		case err == nil:
		case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
			return cli.Finding("%s: %s is not in its registry. publish it, or copy it there by digest. nothing was written", c.filter, c.to)
		case answer != nil || errors.As(err, &network):
			return fmt.Errorf("verifying %s: %w. nothing was written; log in with docker login, or try again", c.filter, err)
		default:
			return cli.Finding("verifying %s: %w. nothing was written", c.filter, err)
		}
	}
	return nil
}

// verifyTrust wants each new pin to be signed as trust.yaml demands it for the environment.
func verifyTrust(ctx context.Context, trust *attest.Trust, env string, changes []change, plainHTTP bool) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	var naming []name.Option
	if plainHTTP {
		naming = append(naming, name.Insecure)
	}
	for _, c := range changes {
		if c.to == (image.Ref{}) {
			continue
		}
		at, err := name.NewDigest(c.to.Repo+"@"+c.to.Digest, naming...)
		if err != nil {
			return err
		}
		bundles, err := attest.Bundles(ctx, at, remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("wasmfleet-promote"))
		if err != nil {
			return fmt.Errorf("verifying %s: %w. nothing was written; log in with docker login, or try again", c.filter, err)
		}
		if lacks := trust.Check(env, attest.VerifyAll(ctx, bundles, trust.Public(), c.to.Digest)); lacks != "" {
			return cli.Finding("%s: %s %s. nothing was written", c.filter, c.to, lacks)
		}
	}
	return nil
}
