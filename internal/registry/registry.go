// Package registry is the way to a registry: credentials, retries, and uploads that take few requests.
package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/hashicorp/go-retryablehttp"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// Registry is one registry after login: its repositories share connections, credentials and the first request. Reading is
// go-containerregistry's; the uploads are ours, because its take four requests a blob and these take one where the registry
// allows it.
type Registry struct {
	host   name.Registry
	client *http.Client
}

// Parallel bounds the repositories under way at once. What a push costs is mostly waiting for the registry.
const Parallel = 32

// Retries of a request that failed for a reason that may pass: 408, 429, 5xx, a broken connection. They wait 0.5 to 1 s, then
// more each time, or what Retry-After says.
const (
	retries      = 4
	retryWaitMin = 500 * time.Millisecond
	retryWaitMax = time.Second
)

// Login makes the first request, which tells how to authenticate, and gets a token for all repositories where
// one is needed. The scope is transport.PullScope or transport.PushScope.
func Login(ctx context.Context, repos []name.Repository, scope string, base http.RoundTripper) (*Registry, error) {
	host := repos[0].Registry
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, host)
	if err != nil {
		return nil, fmt.Errorf("reading the credentials of %s: %w", host, err)
	}
	var scopes []string
	for _, r := range repos {
		scopes = append(scopes, r.Scope(scope))
	}
	t, err := transport.NewWithContext(ctx, host, auth, transport.NewUserAgent(base, "wasmfleet"), scopes)
	if err != nil {
		return nil, errors.Join(secureError(ctx, host, base), err)
	}
	return &Registry{host, &http.Client{Transport: t}}, nil
}

// secureError is why HTTPS did not work with a registry that may also be spoken to over HTTP, such as one on loopback: of the two
// attempts at login only the last one's error is seen.
func secureError(ctx context.Context, host name.Registry, base http.RoundTripper) error {
	if host.Scheme() == "https" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host.RegistryStr()+"/v2/", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := base.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return err
	}
	return nil
}

// Retrying sits below authentication, so that each request is repeated alone, with the body that it had.
func Retrying(base http.RoundTripper, waitMin, waitMax time.Duration) http.RoundTripper {
	return &retryablehttp.RoundTripper{Client: &retryablehttp.Client{
		HTTPClient: &http.Client{
			Transport:     base,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		RetryMax:     retries,
		RetryWaitMin: waitMin,
		RetryWaitMax: waitMax,
		Backoff:      retryablehttp.RateLimitLinearJitterBackoff,
		CheckRetry:   mayPass,
		ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}}
}

// mayPass tells whether a repetition may help. A refused connection, an unknown host or a wrong certificate will not go away.
func mayPass(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if err != nil {
		return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err) || isTimeout(err), nil
	}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, nil
	}
	return false, nil
}

// Current is the digest that the tag has now; empty when there is no such tag.
func (r *Registry) Current(ctx context.Context, tag name.Tag) (string, error) {
	resp, err := r.do(ctx, http.MethodHead, r.url(tag.Repository, "manifests/"+tag.TagStr()), nil, accepted)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return "", nil
	}
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return "", err
	}
	if d := resp.Header.Get("Docker-Content-Digest"); d != "" {
		return d, nil
	}
	desc, err := remote.Get(tag, r.Options(ctx)...) // a registry without that header
	if err != nil {
		return "", err
	}
	return desc.Digest.String(), nil
}

// accepted are the manifests that a tag may have; a registry converts or refuses what is not asked for.
var accepted = http.Header{"Accept": {string(types.OCIManifestSchema1), string(types.OCIImageIndex), string(types.DockerManifestSchema2), string(types.DockerManifestList)}}

// Upload writes one blob, in one request where the registry takes it, otherwise in two.
func (r *Registry) Upload(ctx context.Context, repo name.Repository, digest v1.Hash, blob []byte) error {
	at := r.url(repo, "blobs/uploads/")
	at.RawQuery = url.Values{"digest": {digest.String()}}.Encode()
	resp, err := r.do(ctx, http.MethodPost, at, blob, octets)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusCreated, http.StatusAccepted); err != nil {
		return err
	}
	if resp.StatusCode == http.StatusCreated {
		return nil
	}
	// The registry opened an upload session instead.
	session, err := resp.Location()
	if err != nil {
		return fmt.Errorf("opening an upload: %w", err)
	}
	query := session.Query()
	query.Set("digest", digest.String())
	session.RawQuery = query.Encode()
	put, err := r.do(ctx, http.MethodPut, *session, blob, octets)
	if err != nil {
		return err
	}
	defer put.Body.Close()
	return transport.CheckError(put, http.StatusCreated)
}

var octets = http.Header{"Content-Type": {"application/octet-stream"}}

// Tag writes the manifest under the tag: the last write, and the one that makes the image visible.
func (r *Registry) Tag(ctx context.Context, tag name.Tag, manifest []byte, mediaType types.MediaType) error {
	resp, err := r.do(ctx, http.MethodPut, r.url(tag.Repository, "manifests/"+tag.TagStr()), manifest, http.Header{"Content-Type": {string(mediaType)}})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return transport.CheckError(resp, http.StatusCreated, http.StatusOK, http.StatusAccepted)
}

// Options let go-containerregistry read through the same login.
func (r *Registry) Options(ctx context.Context) []remote.Option {
	return []remote.Option{remote.WithContext(ctx), remote.WithTransport(r.client.Transport)}
}

func (r *Registry) url(repo name.Repository, path string) url.URL {
	return url.URL{Scheme: r.host.Scheme(), Host: r.host.RegistryStr(), Path: "/v2/" + repo.RepositoryStr() + "/" + path}
}

func (r *Registry) do(ctx context.Context, method string, at url.URL, body []byte, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header.Clone()
	return r.client.Do(req)
}

// NewTransport is the ground: proxies from the environment, further roots, and retries.
func NewTransport(caFile string) (http.RoundTripper, error) {
	t := remote.DefaultTransport.(*http.Transport).Clone()
	// All filters go to one host: keep their connections.
	t.MaxIdleConnsPerHost = Parallel
	t.ResponseHeaderTimeout = time.Minute
	if caFile == "" {
		return Retrying(t, retryWaitMin, retryWaitMax), nil
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
	return Retrying(t, retryWaitMin, retryWaitMax), nil
}
