// Package inspect is the verb that checks an image by Istio's rules and says what is in it.
package inspect

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/wasmfleet/wasmfleet/internal/attest"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	oci "github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/registry"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// options are the flags.
type options struct {
	caFile    string
	key       string
	plainHTTP bool
	timeout   time.Duration
}

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "inspect",
		Title: "what is in an image, and whether Istio and Envoy would take it",
		Args:  "REF",
		About: `Pulls an image from its registry, anybody's, says what is in it, and checks it by the rules of Istio's agent and of Envoy.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.caFile, "ca-file", "", "`file` with further root certificates (PEM) of the registry")
			f.StringVar(&o.key, "key", "", "verify what is signed with the public key in this `file`, or env://NAME; without a valid signature it exits 1")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "talk HTTP to the registry (hosts on loopback may always)")
			f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "give up after this time")
		},
		Run: func(ctx context.Context, args []string, stdout, _ io.Writer) error {
			if len(args) != 1 {
				return cli.Usage("want one image reference")
			}
			ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("gave up after %s. --timeout sets that", o.timeout))
			defer cancel()
			err := run(ctx, o, args[0], stdout)
			if err != nil && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		},
	}
}

func run(ctx context.Context, o options, image string, stdout io.Writer) error {
	reading := []name.Option{name.StrictValidation}
	if o.plainHTTP {
		reading = append(reading, name.Insecure)
	}
	ref, err := name.ParseReference(strings.TrimPrefix(image, "oci://"), reading...)
	if err != nil {
		return cli.Usage("%s is no image reference: %w", image, err)
	}
	base, err := registry.NewTransport(o.caFile)
	if err != nil {
		return err
	}
	host := ref.Context().RegistryStr()
	r, err := registry.Login(ctx, []name.Repository{ref.Context()}, transport.PullScope, base)
	if err != nil {
		return fmt.Errorf("logging in to %s: %w", host, registry.Explain(host, err))
	}
	desc, err := remote.Get(ref, r.Options(ctx)...)
	if err != nil {
		return fmt.Errorf("fetching %s: %w", ref, registry.Explain(host, err))
	}
	fmt.Fprintf(stdout, "image    %s\ndigest   %s\n", ref, desc.Digest)
	if desc.MediaType.IsIndex() {
		return cli.Finding("%s is an image index: Istio compares a pin with the digest of the image inside, so a pin of this digest always fails. push a single manifest", ref)
	}
	img, err := desc.Image()
	if err != nil {
		return cli.Finding("%s: %w", ref, err)
	}
	module, form, err := oci.Module(img)
	if err != nil {
		return cli.Finding("%s: %w", ref, err)
	}
	fmt.Fprintf(stdout, "form     %s\nmodule   %d bytes sha256:%x\n", form, len(module), sha256.Sum256(module))
	m, err := wasmfile.Read(module)
	if err != nil {
		return cli.Finding("%s: %w", ref, err)
	}
	var imports []string
	for _, i := range m.Imports {
		imports = append(imports, i.Name)
	}
	fmt.Fprintf(stdout, "abi      %s\nimports  %s\nallow    %s\n", m.ABI, strings.Join(imports, " "), strings.Join(m.Capabilities(), " "))
	if err := signatures(ctx, o, r, ref.Context().Digest(desc.Digest.String()), stdout); err != nil {
		return err
	}
	if findings := wasmfile.Lint(m); len(findings) > 0 {
		return cli.Finding("%s: %s", ref, strings.Join(findings, "; "))
	}
	return nil
}

// signatures prints what is said of the image by others, and with a key whether it holds.
func signatures(ctx context.Context, o options, r *registry.Registry, at name.Digest, stdout io.Writer) error {
	bundles, err := attest.Bundles(ctx, at, r.Options(ctx)...)
	if err != nil {
		return fmt.Errorf("reading what refers to %s: %w", at, registry.Explain(at.RegistryStr(), err))
	}
	var key *ecdsa.PublicKey
	if o.key != "" {
		if key, err = attest.LoadPublicKey(o.key); err != nil {
			return cli.Finding("--key: %w", err)
		}
	}
	signed := false
	for _, b := range bundles {
		s, err := attest.Read(b)
		if err != nil {
			fmt.Fprintf(stdout, "said     unreadable: %v\n", err)
			continue
		}
		state := "not verified: --key says by whom"
		if key != nil {
			if _, err := attest.Verify(ctx, b, key, at.DigestStr()); err != nil {
				state = "does not hold: " + err.Error()
			} else {
				state, signed = "verified", signed || s.PredicateType == attest.Signature
			}
		}
		if builder := s.Builder(); builder != "" {
			state = "built by " + builder + ", " + state
		}
		fmt.Fprintf(stdout, "said     %s: %s\n", s.PredicateType, state)
	}
	if key != nil && !signed {
		return cli.Finding("%s has no signature of that key. %d bundles refer to it", at, len(bundles))
	}
	return nil
}
