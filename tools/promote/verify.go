package promote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

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
