package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/wasmfleet/wasmfleet/internal/attest"
	"github.com/wasmfleet/wasmfleet/internal/registry"
	"github.com/wasmfleet/wasmfleet/internal/sbom"
)

// sign attaches to each image what the key says of it: that it is ours, what is in it, and how it was built. What a valid bundle of this
// key says already is not said again.
func (p publisher) sign(ctx context.Context, key *attest.Key, o options, jobs []job) error {
	r, host, err := p.login(ctx, jobs, transport.PushScope)
	if err != nil {
		return err
	}
	for _, j := range jobs {
		digest, err := j.image.Digest()
		if err != nil {
			return err
		}
		at := j.tag.Digest(digest.String())
		there, err := attest.Bundles(ctx, at, r.Options(ctx)...)
		if err != nil {
			return fmt.Errorf("reading what is signed of %s: %w", at, registry.Explain(host, err))
		}
		said := map[string]bool{}
		for _, b := range there {
			if s, err := attest.Verify(ctx, b, key.Public(), digest.String()); err == nil {
				said[s.PredicateType] = true
			}
		}
		statements, err := j.statements(ctx, digest.String(), filepath.Dir(o.filters))
		if err != nil {
			return err
		}
		var bundles [][]byte
		for _, s := range statements {
			if said[s.PredicateType] {
				continue
			}
			b, err := key.Sign(ctx, s)
			if err != nil {
				return err
			}
			bundles = append(bundles, b)
		}
		if len(bundles) == 0 {
			continue
		}
		if err := attest.Attach(ctx, at, bundles, r.Options(ctx)...); err != nil {
			return fmt.Errorf("attaching signatures to %s: %w. run it again: what is there already is not signed twice", at, registry.Explain(host, err))
		}
		if err := p.readBack(ctx, r, at, bundles); err != nil {
			return err
		}
		p.progress.signed(j)
	}
	return nil
}

// readBack wants to find what was attached: two publishers at once may take an entry from each other's index, where a registry has no
// referrers API.
func (p publisher) readBack(ctx context.Context, r *registry.Registry, at name.Digest, bundles [][]byte) error {
	there, err := attest.Bundles(ctx, at, r.Options(ctx)...)
	if err != nil {
		return err
	}
	for _, want := range bundles {
		found := false
		for _, b := range there {
			found = found || bytes.Equal(b, want)
		}
		if !found {
			return fmt.Errorf("the registry does not list a signature that it took for %s: it drops referrers, or somebody signed at the same time. run it again", at)
		}
	}
	return nil
}

// statements are what is said of the image.
func (j job) statements(ctx context.Context, digest, root string) ([]attest.Statement, error) {
	all := []attest.Statement{attest.NewStatement(digest, attest.Signature, []byte("{}"))}
	if j.filter.Dir != "" {
		bom, err := sbom.Of(root, j.filter, j.module)
		if err != nil {
			return nil, fmt.Errorf("listing what is in %s: %w", j.filter.Name, err)
		}
		all = append(all, attest.NewStatement(digest, attest.SBOM, bom))
	}
	built, err := j.provenance(ctx, root)
	if err != nil {
		return nil, err
	}
	return append(all, attest.NewStatement(digest, attest.Provenance, built)), nil
}

// resource is a file or a commit that went into a build.
type resource struct {
	URI    string            `json:"uri,omitempty"`
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

// provenance is SLSA's (https://slsa.dev/spec/v1.0/provenance), as far as it is known here: the commit, the filter, the files that fix
// the toolchain, and who built. A build on somebody's machine says so.
func (j job) provenance(ctx context.Context, root string) ([]byte, error) {
	type object = map[string]any
	var from []resource
	commit, dirty := source(ctx, root)
	if commit != "" {
		from = append(from, resource{URI: "git+" + gitRemote(ctx, root), Digest: map[string]string{"gitCommit": commit}})
	}
	for _, file := range []string{"go.sum", "Tools.mk"} {
		content, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			continue // another repository need not have it
		}
		sum := sha256.Sum256(content)
		from = append(from, resource{Name: file, Digest: map[string]string{"sha256": hex.EncodeToString(sum[:])}})
	}
	builder := "local"
	if ref := os.Getenv("GITHUB_WORKFLOW_REF"); ref != "" {
		builder = "https://github.com/" + ref
	}
	return json.Marshal(object{
		"buildDefinition": object{
			"buildType":            "https://wasmfleet.dev/make-build/v1",
			"externalParameters":   object{"filter": j.filter.Name, "version": j.tag.TagStr(), "uncommitted": dirty},
			"resolvedDependencies": from,
		},
		"runDetails": object{"builder": object{"id": builder}},
	})
}

// source is the commit that is checked out, and whether something is not committed.
func source(ctx context.Context, root string) (commit string, dirty bool) {
	out, err := git(ctx, root, "rev-parse", "HEAD")
	if err != nil {
		return "", true
	}
	changes, err := git(ctx, root, "status", "--porcelain")
	return out, err != nil || changes != ""
}

func gitRemote(ctx context.Context, root string) string {
	remote, err := git(ctx, root, "config", "--get", "remote.origin.url")
	if err != nil || strings.Contains(remote, "@") && strings.Contains(remote, "://") { // it may hold a password
		return ""
	}
	return remote
}

func git(ctx context.Context, root string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = root
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
