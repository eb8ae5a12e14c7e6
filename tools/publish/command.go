// Package publish is the verb that packages compiled filters as OCI images and pushes them to a registry.
package publish

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/attest"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
	"github.com/wasmfleet/wasmfleet/internal/registry"
)

// options are the flags.
type options struct {
	repo, version, variant   string
	filters, build           string
	caFile, refs, signKey    string
	dir                      string
	plainHTTP, dryRun, force bool
	changed                  bool
	timeout                  time.Duration
	form                     image.Form // variant, checked
}

// Command is the verb.
func Command() cli.Command {
	var o options
	return cli.Command{
		Name:  "publish",
		Title: "images of filters, into a registry; their references on stdout",
		Args:  "FILTER|MODULE.wasm…",
		About: `Packages each filter (filters/FILTER/plugin.yaml and build/FILTER.wasm, or a module of any language with a plugin.yaml beside
it), pushes it as REPO/FILTER:VERSION with the credentials of "docker login", fetches it back by digest, checks it by the rules of
Istio's agent and prints REPO/FILTER:VERSION@sha256:…`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.repo, "repo", "", "registry `host/path` that gets one repository for each filter (required)")
			f.StringVar(&o.version, "version", "", "`tag` of the images (required)")
			f.StringVar(&o.variant, "variant", string(image.Artifact), "artifact, or compat: an ordinary image, for registries that refuse unknown media types")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters")
			f.StringVar(&o.build, "build", "build", "`folder` of the compiled modules")
			f.StringVar(&o.caFile, "ca-file", "", "`file` with further root certificates (PEM) of the registry")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "talk HTTP to the registry (hosts on loopback may always)")
			f.BoolVar(&o.dryRun, "dry-run", false, "print the references without touching the network")
			f.BoolVar(&o.changed, "changed", false, "publish nothing: print the filters whose image is not what environments without upstream pin, or is not in the registry")
			f.StringVar(&o.dir, "dir", "manifests", "with --changed: `folder` of the manifests")
			f.BoolVar(&o.force, "force", false, "overwrite the tag of a release (v1.2.3) that has another digest")
			f.StringVar(&o.refs, "refs", "", "also write the references to this `file`, for promote")
			f.StringVar(&o.signKey, "sign-key", "", "sign each image, its contents and its origin with cosign's private key in this `file`, or env://NAME; the passphrase is in COSIGN_PASSWORD")
			f.DurationVar(&o.timeout, "timeout", 5*time.Minute, "give up after this time")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			o.form = image.Form(o.variant)
			if o.form != image.Artifact && o.form != image.Compat {
				return cli.Usage("--variant %q: want artifact or compat", o.variant)
			}
			ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("gave up after %s. --timeout sets that", o.timeout))
			defer cancel()
			err := run(ctx, o, args, stdout, stderr)
			if err != nil && ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		},
	}
}

// nameOptions are how references are read: strictly, and over HTTP where the user says so.
func (o options) nameOptions() []name.Option {
	if o.plainHTTP {
		return []name.Option{name.StrictValidation, name.Insecure}
	}
	return []name.Option{name.StrictValidation}
}

func run(ctx context.Context, o options, args []string, stdout, stderr io.Writer) error {
	if o.repo == "" || o.version == "" || len(args) == 0 {
		return cli.Usage("--repo, --version and at least one filter are required")
	}
	base, err := registry.NewTransport(o.caFile)
	if err != nil {
		return err
	}
	var key *attest.Key
	if o.signKey != "" { // before anything is pushed
		if key, err = attest.LoadKey(o.signKey); err != nil {
			return cli.Finding("--sign-key: %w", err)
		}
	}
	jobs, err := newJobs(o, args)
	if err != nil {
		return err
	}
	p := publisher{base: base, force: o.force, progress: newProgress(stderr)}
	if o.changed {
		return p.changed(ctx, o.dir, jobs, stdout)
	}
	var refs bytes.Buffer
	for _, j := range jobs {
		ref, err := j.ref()
		if err != nil {
			return err
		}
		fmt.Fprintln(&refs, ref)
	}
	if !o.dryRun {
		if err := p.publish(ctx, jobs); err != nil {
			return err
		}
		if key != nil {
			if err := p.sign(ctx, key, o, jobs); err != nil {
				return err
			}
		}
	}
	if o.refs != "" {
		written := refs.Bytes()
		if o.dryRun {
			written = append([]byte(image.Unpublished+"\n"), written...)
		}
		if err := atomicfile.Write(o.refs, written); err != nil {
			return fmt.Errorf("writing --refs: %w", err)
		}
	}
	_, err = stdout.Write(refs.Bytes())
	return err
}
