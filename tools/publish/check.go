package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/filterimage"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// check says what is in an image and what is wrong with it, by the rules of Istio's agent and of the lint.
func check(ctx context.Context, o options, args []string, stdout io.Writer) error {
	if len(args) > 0 {
		return cli.Usage("--check takes no filters")
	}
	ref, err := name.ParseReference(strings.TrimPrefix(o.check, "oci://"), o.nameOptions()...)
	if err != nil {
		return cli.Usage("--check %s is no image reference: %w", o.check, err)
	}
	base, err := newTransport(o.caFile)
	if err != nil {
		return err
	}
	host := ref.Context().RegistryStr()
	r, err := login(ctx, []name.Repository{ref.Context()}, transport.PullScope, base)
	if err != nil {
		return fmt.Errorf("logging in to %s: %w", host, explain(host, err))
	}
	desc, err := remote.Get(ref, r.options(ctx)...)
	if err != nil {
		return fmt.Errorf("fetching %s: %w", ref, explain(host, err))
	}
	fmt.Fprintf(stdout, "image    %s\ndigest   %s\n", ref, desc.Digest)
	if desc.MediaType.IsIndex() {
		return cli.Finding("%s is an image index: Istio compares a pin with the digest of the image inside, so a pin of this digest always fails. push a single manifest", ref)
	}
	img, err := desc.Image()
	if err != nil {
		return cli.Finding("%s: %w", ref, err)
	}
	module, form, err := filterimage.Module(img)
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
	if findings := wasmfile.Lint(m); len(findings) > 0 {
		return cli.Finding("%s: %s", ref, strings.Join(findings, "; "))
	}
	return nil
}
