package attest

import (
	"context"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
)

const timeout = time.Minute

// Require wants each image to be signed as the trust.yaml of a folder of manifests demands it for the environment. Whatever writes a pin
// asks it first. Where nothing is demanded no registry is asked.
func Require(ctx context.Context, manifests, env string, images []image.Ref, plainHTTP bool) error {
	trust, err := LoadTrust(manifests)
	if err != nil || !trust.Demands(env) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var naming []name.Option
	if plainHTTP {
		naming = append(naming, name.Insecure)
	}
	for _, ref := range images {
		at, err := name.NewDigest(ref.Repo+"@"+ref.Digest, naming...)
		if err != nil {
			return err
		}
		bundles, err := Bundles(ctx, at, remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("wasmfleet"))
		if err != nil {
			return fmt.Errorf("verifying %s: %w. nothing was written; log in with docker login, or try again", ref, err)
		}
		if lacks := trust.Check(env, VerifyAll(ctx, bundles, trust.public, ref.Digest)); lacks != "" {
			return cli.Finding("%s: %s %s. nothing was written", ref.Filter(), ref, lacks)
		}
	}
	return nil
}
