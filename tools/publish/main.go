// Command publish packages compiled filters as OCI images and pushes them to a registry.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/filterimage"
	"github.com/wasmfleet/wasmfleet/internal/wasmfile"
)

func main() { os.Exit(command().Main(os.Args[1:], os.Stdout, os.Stderr)) }

// options are the flags.
type options struct {
	repo, version  string
	filters, build string
	caFile, refs   string
	plainHTTP, dry bool
}

func command() cli.Command {
	var o options
	return cli.Command{
		Name: "publish",
		Args: "FILTER|MODULE.wasm…",
		About: `Packages each filter (filters/FILTER/plugin.yaml and build/FILTER.wasm, or a module of any language with a plugin.yaml beside
it), pushes it as REPO/FILTER:VERSION with the credentials of "docker login", fetches it back by digest, checks it by the rules of
Istio's agent and prints REPO/FILTER:VERSION@sha256:…`,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&o.repo, "repo", "", "registry `host/path` that gets one repository for each filter (required)")
			f.StringVar(&o.version, "version", "", "`tag` of the images (required)")
			f.StringVar(&o.filters, "filters", "filters", "`folder` of the filters")
			f.StringVar(&o.build, "build", "build", "`folder` of the compiled modules")
			f.StringVar(&o.caFile, "ca-file", "", "`file` with further root certificates (PEM) of the registry")
			f.BoolVar(&o.plainHTTP, "plain-http", false, "talk HTTP to the registry (hosts on loopback always do)")
			f.BoolVar(&o.dry, "dry-run", false, "print the references without touching the network")
			f.StringVar(&o.refs, "refs", "", "also write the references to this `file`, for promote")
		},
		Run: func(ctx context.Context, args []string, stdout, stderr io.Writer) error {
			return run(ctx, o, args, stdout, stderr)
		},
	}
}

// job is one filter on its way: everything about it is known and checked before the first push.
type job struct {
	filter catalog.Filter
	module []byte
	image  v1.Image
	tag    name.Tag
}

func run(ctx context.Context, o options, args []string, stdout, stderr io.Writer) error {
	if o.repo == "" || o.version == "" || len(args) == 0 {
		return cli.Usage("--repo, --version and at least one filter are required")
	}
	transport, err := newTransport(o.caFile)
	if err != nil {
		return err
	}
	var jobs []job
	for _, arg := range args {
		j, err := newJob(o, arg)
		if err != nil {
			return err
		}
		jobs = append(jobs, j)
	}
	var refs bytes.Buffer
	p := newPublisher(ctx, transport)
	for _, j := range jobs {
		ref, err := j.ref()
		if err != nil {
			return err
		}
		if !o.dry {
			fmt.Fprintf(stderr, "publish: pushing %s\n", j.tag)
			if err := p.push(j); err != nil {
				return err
			}
		}
		fmt.Fprintln(stdout, ref)
		fmt.Fprintln(&refs, ref)
	}
	if o.refs == "" {
		return nil
	}
	return atomicfile.Write(o.refs, refs.Bytes())
}

func newJob(o options, arg string) (job, error) {
	var j job
	var err error
	modulePath := filepath.Join(o.build, arg+".wasm")
	if strings.HasSuffix(arg, ".wasm") {
		modulePath = arg
		j.filter, err = catalog.Read(filepath.Join(filepath.Dir(arg), catalog.File))
	} else {
		j.filter, err = catalog.Find(o.filters, arg)
	}
	if err != nil {
		return j, cli.Usage("%w", err)
	}
	var opts []name.Option
	if o.plainHTTP {
		opts = append(opts, name.Insecure)
	}
	image := strings.TrimSuffix(o.repo, "/") + "/" + j.filter.Name
	if j.tag, err = name.NewTag(image+":"+o.version, append(opts, name.StrictValidation)...); err != nil {
		return j, cli.Usage("%s:%s is no image reference: %w", image, o.version, err)
	}
	if j.module, err = os.ReadFile(modulePath); err != nil {
		return j, fmt.Errorf("%w. run \"make build FILTER=%s\"", err, j.filter.Name)
	}
	m, err := wasmfile.Read(j.module)
	if err != nil {
		return j, cli.Finding("%s: %w", modulePath, err)
	}
	if findings := wasmfile.Lint(m); len(findings) > 0 {
		return j, cli.Finding("%s: %s", modulePath, strings.Join(findings, "; "))
	}
	j.image, err = filterimage.Build(j.module, j.filter, filterimage.Artifact)
	return j, err
}

// ref is what the image will be called: its digest is known before it is pushed.
func (j job) ref() (filterimage.Ref, error) {
	digest, err := j.image.Digest()
	return filterimage.Ref{Repo: j.tag.Repository.Name(), Tag: j.tag.TagStr(), Digest: digest.String()}, err
}

func newTransport(caFile string) (http.RoundTripper, error) {
	t := remote.DefaultTransport.(*http.Transport).Clone()
	if caFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, cli.Usage("--ca-file: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, cli.Usage("--ca-file %s holds no certificate in PEM form", caFile)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return t, nil
}
