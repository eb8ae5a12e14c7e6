package image

import (
	"fmt"
	"net"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// Unpublished is the line that says of a file of references that nothing was pushed.
const Unpublished = "# publish --dry-run: these images are in no registry"

// Ref names one image: the tag is for people, the digest decides.
type Ref struct {
	Repo   string // host/path/filter
	Tag    string // may be empty
	Digest string // sha256:<64 hex digits>
}

// ParseRef reads host/path/filter:tag@sha256:…, as publish prints it; the tag may be missing, the digest not.
func ParseRef(s string) (Ref, error) {
	left, digest, ok := strings.Cut(s, "@")
	if !ok {
		return Ref{}, fmt.Errorf("reference %q has no digest. want host/path/filter:version@sha256:…, as publish prints it", s)
	}
	if strings.Contains(left, "://") {
		return Ref{}, fmt.Errorf("reference %q has a scheme. leave it out", s)
	}
	repo, tag := left, ""
	if i := strings.LastIndex(left, ":"); i > strings.LastIndex(left, "/") {
		repo, tag = left[:i], left[i+1:]
		if _, err := name.NewTag(left, name.StrictValidation); err != nil {
			return Ref{}, fmt.Errorf("reference %q: %w", s, err)
		}
	}
	if _, err := name.NewDigest(repo+"@"+digest, name.StrictValidation); err != nil {
		return Ref{}, fmt.Errorf("reference %q: %w", s, err)
	}
	return Ref{repo, tag, digest}, nil
}

// String is the form that publish prints and promote reads.
func (r Ref) String() string {
	if r.Tag == "" {
		return r.Repo + "@" + r.Digest
	}
	return r.Repo + ":" + r.Tag + "@" + r.Digest
}

// Loopback reports whether the registry is on this machine, where no cluster finds it.
func (r Ref) Loopback() bool {
	host, _, _ := strings.Cut(r.Repo, "/")
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Filter is the filter's name: the last element of the repository.
func (r Ref) Filter() string { return path.Base(r.Repo) }
