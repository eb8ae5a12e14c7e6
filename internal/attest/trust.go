package attest

import (
	"bytes"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

// TrustFile says, below the folder of manifests, what an image must have to be promoted.
const TrustFile = "trust.yaml"

// The demands that it may make of the images of an environment.
const (
	None       = "none"
	Signed     = "signed"     // a signature of the key
	WithOrigin = "provenance" // and a provenance of it, from a builder that is listed

	demandsInText = "none, signed or provenance"
)

// Trust is the policy.
type Trust struct {
	Key          string            `yaml:"key"`          // of a public key, below the folder of manifests
	Builders     []string          `yaml:"builders"`     // whose provenance counts; each the beginning of a builder's id
	Environments map[string]string `yaml:"environments"` // the demand of each; none where it is not listed

	public *ecdsa.PublicKey
}

// LoadTrust reads the policy of a folder of manifests; without a file nothing is demanded.
func LoadTrust(manifests string) (*Trust, error) {
	file := filepath.Join(manifests, TrustFile)
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return &Trust{}, nil
	}
	if err != nil {
		return nil, err
	}
	var t Trust
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&t); err != nil {
		return nil, cli.Finding("%s: %w", file, err)
	}
	for env, demand := range t.Environments {
		if !slices.Contains([]string{None, Signed, WithOrigin}, demand) {
			return nil, cli.Finding("%s: environments: %s: %q: want %s", file, env, demand, demandsInText)
		}
		if demand == WithOrigin && len(t.Builders) == 0 {
			return nil, cli.Finding("%s: environments: %s: provenance wants builders, such as https://github.com/OWNER/REPOSITORY/.github/workflows/publish.yaml@", file, env)
		}
	}
	if t.public, err = LoadPublicKey(filepath.Join(manifests, t.Key)); err != nil {
		return nil, cli.Finding("%s: key: %w", file, err)
	}
	return &t, nil
}

// Demands reports whether images of the environment must be signed.
func (t *Trust) Demands(env string) bool {
	demand := t.Environments[env]
	return demand != "" && demand != None
}

// Check says what the bundles of an image lack for the environment; empty when they are enough.
func (t *Trust) Check(env string, said []Verified) string {
	var signed, origin bool
	var why []string
	for _, v := range said {
		if v.Err != nil {
			why = append(why, v.Err.Error())
			continue
		}
		switch v.Statement.PredicateType {
		case Signature:
			signed = true
		case Provenance:
			builder := v.Statement.Builder()
			if ok := slices.ContainsFunc(t.Builders, func(b string) bool { return strings.HasPrefix(builder, b) }); ok {
				origin = true
			} else {
				why = append(why, fmt.Sprintf("it was built by %q, which trust.yaml does not list", builder))
			}
		}
	}
	slices.Sort(why)
	because := ""
	if len(why) > 0 {
		because = " (" + strings.Join(slices.Compact(why), "; ") + ")"
	}
	switch {
	case !t.Demands(env) || signed && (t.Environments[env] == Signed || origin):
		return ""
	case !signed:
		return "has no signature of the key in trust.yaml" + because + ". publish it with --sign-key, or sign it with cosign"
	default:
		return "has no provenance of a builder in trust.yaml" + because + ". let the workflow publish it"
	}
}
