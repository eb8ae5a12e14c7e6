// Package reproduce is the verb that compares what this tree builds with a published image, byte by byte.
package reproduce

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/wasmfleet/wasmfleet/internal/attest"
	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/manifests"
	"github.com/wasmfleet/wasmfleet/internal/registry"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

// options are the flags.
type options struct {
	ref, build, filters, dir string
	caFile                   string
	plainHTTP                bool
	timeout                  time.Duration
}

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "reproduce",
		Title: "whether this tree builds the module of a published image",
		Args:  "FILTER",
		About: `Pulls an image by its digest and compares its module with build/FILTER.wasm. It says equal, or in which section, function or data they
first differ, and exits 1. make reproduce builds the module before.`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.ref, "ref", "", "the image, `host/path@sha256:…`; without it, what is pinned where published images enter")
			f.StringVar(&o.build, "build", "build", "`folder` of the compiled modules")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters")
			f.StringVar(&o.dir, "dir", "manifests", "`folder` of the manifests")
			f.StringVar(&o.caFile, "ca-file", "", "`file` with further root certificates (PEM) of the registry")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "talk HTTP to the registry (hosts on loopback may always)")
			f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "give up after this time")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			if len(args) != 1 {
				return cli.Usage("want one filter")
			}
			ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("gave up after %s. --timeout sets that", o.timeout))
			defer cancel()
			err := run(ctx, o, args[0], stdout, stderr)
			if err != nil && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		},
	}
}

func run(ctx context.Context, o options, filter string, stdout, stderr io.Writer) error {
	if _, err := catalog.Find(o.filters, filter); err != nil {
		return err
	}
	ref, err := o.image(filter)
	if err != nil {
		return err
	}
	file := filepath.Join(o.build, filter+".wasm")
	built, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%w. run \"make build FILTER=%s\"", err, filter)
	}
	base, err := registry.NewTransport(o.caFile)
	if err != nil {
		return err
	}
	host, _, _ := strings.Cut(ref.Repo, "/")
	asking := []remote.Option{remote.WithTransport(base), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("wasmfleet")}
	published, err := image.Pull(ctx, ref, o.plainHTTP, asking...)
	switch {
	case errors.Is(err, image.ErrIndex):
		return cli.Finding("%w", err)
	case err != nil:
		return fmt.Errorf("pulling %s: %w", ref, registry.Explain(host, err))
	}
	fmt.Fprintf(stdout, "image      %s\n", ref)
	o.origin(ctx, ref, stdout, stderr, asking)
	fmt.Fprintf(stdout, "built      %d bytes sha256:%x\npublished  %d bytes sha256:%x\n", len(built), sha256.Sum256(built), len(published), sha256.Sum256(published))
	d, differ := wasmfile.FirstDifference(built, published)
	if !differ {
		fmt.Fprintln(stdout, "equal")
		return nil
	}
	fmt.Fprintf(stdout, "differs    after %d equal bytes of\nbuilt      %s: offset %d, %d bytes\npublished  %s: offset %d, %d bytes\n",
		d.Same, d.A.Name, d.A.Offset, d.A.Size, d.B.Name, d.B.Offset, d.B.Size)
	return cli.Finding("%s is not the module of %s. build its commit with the versions of its Tools.mk", file, ref)
}

// image is the one to compare with: what --ref says, or what is pinned where published images enter.
func (o options) image(filter string) (image.Ref, error) {
	if o.ref != "" {
		ref, err := image.ParseRef(strings.TrimPrefix(o.ref, "oci://"))
		if err != nil {
			return ref, cli.Usage("--ref: %w", err)
		}
		return ref, nil
	}
	envs, err := manifests.All(o.dir)
	if err != nil {
		return image.Ref{}, err
	}
	var pinned []image.Ref
	for _, env := range envs {
		if !env.Entry() {
			continue
		}
		files, err := env.AllPins()
		if err != nil {
			return image.Ref{}, err
		}
		for _, f := range files {
			if ref, ok := f.Pins[filter]; ok && !slices.Contains(pinned, ref) {
				pinned = append(pinned, ref)
			}
		}
	}
	switch len(pinned) {
	case 0:
		return image.Ref{}, cli.Usage("no environment where published images enter pins %q. say which image: --ref host/path@sha256:…", filter)
	case 1:
		return pinned[0], nil
	default:
		return image.Ref{}, cli.Usage("%q is pinned as %s and as %s. say which: --ref host/path@sha256:…", filter, pinned[0], pinned[1])
	}
}

// origin says which commit the image's provenances name, and when this is another one. Nobody has verified them, and nothing depends on
// them here: the bytes decide.
func (o options) origin(ctx context.Context, ref image.Ref, stdout, stderr io.Writer, asking []remote.Option) {
	var naming []name.Option
	if o.plainHTTP {
		naming = append(naming, name.Insecure)
	}
	at, err := name.NewDigest(ref.Repo+"@"+ref.Digest, naming...)
	if err != nil {
		return // it was pulled by this name
	}
	bundles, err := attest.Bundles(ctx, at, asking...)
	if err != nil {
		fmt.Fprintf(stderr, "reproduce: which commit it was built from is not known: %v\n", registry.Explain(at.RegistryStr(), err))
		return
	}
	var commits []string
	for _, b := range bundles {
		s, err := attest.Read(b)
		if err != nil || !s.About(ref.Digest) {
			continue
		}
		commit, uncommitted := s.Source()
		if commit == "" || slices.Contains(commits, commit) {
			continue
		}
		commits = append(commits, commit)
		said := "as its provenance says"
		if uncommitted {
			said += ", with changes that were not committed"
		}
		fmt.Fprintf(stdout, "commit     %s, %s\n", commit, said)
	}
	head := o.head(ctx)
	if len(commits) > 0 && head != "" && !slices.Contains(commits, head) {
		fmt.Fprintf(stderr, "reproduce: this is commit %s. for the image's: git checkout %s\n", head, commits[0])
	}
}

// head is the commit that is checked out; empty outside of git.
func (o options) head(ctx context.Context) string {
	cmd := exec.CommandContext(ctx, "git", "rev-parse", "HEAD")
	cmd.Dir = o.filters
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
