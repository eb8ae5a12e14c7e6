// Package attest signs what is said of an image, as cosign does with a key, and verifies it: in-toto statements in DSSE envelopes, in
// Sigstore's bundle v0.3, as referrers of the image.
package attest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
)

// The types of what is said (https://github.com/in-toto/attestation, cosign's specs/BUNDLE_SPEC.md).
const (
	Signature  = "https://sigstore.dev/cosign/sign/v1" // that the image is this key's, nothing more
	SBOM       = "https://cyclonedx.org/bom"
	Provenance = "https://slsa.dev/provenance/v1"

	statementType = "https://in-toto.io/Statement/v1"
	payloadType   = "application/vnd.in-toto+json"
	// BundleType is the artifact type of a referrer.
	BundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// Statement says something, the predicate, of an image.
type Statement struct {
	Type          string          `json:"_type"`
	Subject       []Subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// Subject is an image.
type Subject struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

// NewStatement is a statement about the image of that digest, sha256:….
func NewStatement(digest, predicateType string, predicate []byte) Statement {
	return Statement{statementType, []Subject{{Digest: map[string]string{"sha256": strings.TrimPrefix(digest, "sha256:")}}}, predicateType, predicate}
}

// Key is the private key of cosign's key pair.
type Key struct {
	private *ecdsa.PrivateKey
	id      string
}

// pemTypes are cosign's names of an encrypted private key, today's and the former.
var pemTypes = map[string]bool{"ENCRYPTED SIGSTORE PRIVATE KEY": true, "ENCRYPTED COSIGN PRIVATE KEY": true}

// LoadKey reads a private key of `cosign generate-key-pair` from a file, or with env://NAME from a variable. The passphrase is in
// COSIGN_PASSWORD. No error tells anything of the key.
func LoadKey(from string) (*Key, error) {
	var data []byte
	if name, ok := strings.CutPrefix(from, "env://"); ok {
		data = []byte(os.Getenv(name))
		if len(data) == 0 {
			return nil, fmt.Errorf("variable %s is empty: want the content of cosign.key", name)
		}
	} else {
		var err error
		if data, err = os.ReadFile(from); err != nil {
			return nil, err
		}
	}
	block, _ := pem.Decode(data)
	if block == nil || !pemTypes[block.Type] {
		return nil, fmt.Errorf("%s is no private key of cosign. make one with cosign generate-key-pair", from)
	}
	der, err := encrypted.Decrypt(block.Bytes, []byte(os.Getenv("COSIGN_PASSWORD")))
	if err != nil {
		return nil, fmt.Errorf("%s does not open with the passphrase in COSIGN_PASSWORD", from)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%s holds no PKCS #8 key", from)
	}
	private, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s holds a key that is not ECDSA, as cosign's are", from)
	}
	id, err := hint(private.Public())
	return &Key{private, id}, err
}

// Public is the public key, to verify with.
func (k *Key) Public() *ecdsa.PublicKey { return &k.private.PublicKey }

// hint names a public key in a bundle, as cosign does: SHA-256 of its DER, in base64.
func hint(public crypto.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// LoadPublicKey reads cosign.pub, or with env://NAME a variable.
func LoadPublicKey(from string) (*ecdsa.PublicKey, error) {
	var data []byte
	if name, ok := strings.CutPrefix(from, "env://"); ok {
		data = []byte(os.Getenv(name))
	} else {
		var err error
		if data, err = os.ReadFile(from); err != nil {
			return nil, err
		}
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("%s is no public key in PEM form, such as cosign.pub", from)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", from, err)
	}
	public, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an ECDSA key", from)
	}
	return public, nil
}

// signer is a key for a DSSE envelope.
type signer struct{ *Key }

// Sign implements dsse.Signer.
func (s signer) Sign(_ context.Context, data []byte) ([]byte, error) {
	sum := sha256.Sum256(data)
	return ecdsa.SignASN1(rand.Reader, s.private, sum[:])
}

// KeyID implements dsse.Signer: the bundle names the key, not the envelope.
func (s signer) KeyID() (string, error) { return "", nil }

// verifier is a public key for a DSSE envelope.
type verifier struct{ public *ecdsa.PublicKey }

// Verify implements dsse.Verifier.
func (v verifier) Verify(_ context.Context, data, sig []byte) error {
	if sum := sha256.Sum256(data); !ecdsa.VerifyASN1(v.public, sum[:], sig) {
		return errors.New("the signature is not of this key, or not of this content")
	}
	return nil
}

// KeyID implements dsse.Verifier.
func (v verifier) KeyID() (string, error) { return "", nil }

// Public implements dsse.Verifier.
func (v verifier) Public() crypto.PublicKey { return v.public }

// bundle is Sigstore's, version 0.3, as far as a key needs it.
type bundle struct {
	MediaType string `json:"mediaType"`
	Material  struct {
		PublicKey struct {
			Hint string `json:"hint"`
		} `json:"publicKey"`
		Certificate json.RawMessage `json:"certificate,omitempty"` // of a signature without a key
	} `json:"verificationMaterial"`
	Envelope dsse.Envelope `json:"dsseEnvelope"`
}

// Sign makes the bundle of a statement.
func (k *Key) Sign(ctx context.Context, s Statement) ([]byte, error) {
	payload, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	envelopes, err := dsse.NewEnvelopeSigner(signer{k})
	if err != nil {
		return nil, err
	}
	envelope, err := envelopes.SignPayload(ctx, payloadType, payload)
	if err != nil {
		return nil, err
	}
	b := bundle{MediaType: BundleType, Envelope: *envelope}
	b.Material.PublicKey.Hint = k.id
	return json.Marshal(b)
}

// ErrKeyless says that a bundle was signed without a key, by a certificate, which a key does not verify.
var ErrKeyless = errors.New("it is signed by a certificate, not by a key. verify it with cosign verify --certificate-identity")

// Verify is the statement of a bundle, if the key signed it and it is about the image of that digest.
func Verify(ctx context.Context, data []byte, key *ecdsa.PublicKey, digest string) (*Statement, error) {
	b, s, err := read(data)
	if err != nil {
		return nil, err
	}
	if len(b.Material.Certificate) > 0 {
		return s, ErrKeyless
	}
	v, err := dsse.NewEnvelopeVerifier(verifier{key})
	if err != nil {
		return nil, err
	}
	if _, err := v.Verify(ctx, &b.Envelope); err != nil {
		return s, errors.New("its signature is not of this key, or what it says was changed")
	}
	if s.About(digest) {
		return s, nil
	}
	return s, fmt.Errorf("it is about another image than %s", digest)
}

// Read is the statement of a bundle, which nobody has verified.
func Read(data []byte) (*Statement, error) {
	_, s, err := read(data)
	return s, err
}

func read(data []byte) (*bundle, *Statement, error) {
	var b bundle
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, nil, fmt.Errorf("no bundle: %w", err)
	}
	if b.MediaType != BundleType || b.Envelope.PayloadType != payloadType {
		return nil, nil, fmt.Errorf("no Sigstore bundle v0.3 with an in-toto statement: mediaType %q, payloadType %q", b.MediaType, b.Envelope.PayloadType)
	}
	payload, err := b.Envelope.DecodeB64Payload()
	if err != nil {
		return nil, nil, fmt.Errorf("no bundle: %w", err)
	}
	var s Statement
	if err := json.Unmarshal(payload, &s); err != nil {
		return nil, nil, fmt.Errorf("no in-toto statement: %w", err)
	}
	if s.Type != statementType {
		return nil, nil, fmt.Errorf("no in-toto statement v1, but %q", s.Type)
	}
	return &b, &s, nil
}

// Verified is what a bundle says, and whether it holds.
type Verified struct {
	Statement *Statement // nil when there is none in it
	Err       error
}

// VerifyAll verifies each bundle.
func VerifyAll(ctx context.Context, bundles [][]byte, key *ecdsa.PublicKey, digest string) (all []Verified) {
	for _, b := range bundles {
		s, err := Verify(ctx, b, key, digest)
		all = append(all, Verified{s, err})
	}
	return all
}

// Builder is who built, by a provenance; empty for another statement.
func (s *Statement) Builder() string {
	var p struct {
		RunDetails struct {
			Builder struct {
				ID string `json:"id"`
			} `json:"builder"`
		} `json:"runDetails"`
	}
	if s.PredicateType != Provenance || json.Unmarshal(s.Predicate, &p) != nil {
		return ""
	}
	return p.RunDetails.Builder.ID
}

// Source is the commit that a provenance names, and whether more went into the build than it holds; empty for another statement.
func (s *Statement) Source() (commit string, uncommitted bool) {
	var p struct {
		BuildDefinition struct {
			ExternalParameters struct {
				Uncommitted bool `json:"uncommitted"`
			} `json:"externalParameters"`
			ResolvedDependencies []struct {
				Digest struct {
					GitCommit string `json:"gitCommit"`
				} `json:"digest"`
			} `json:"resolvedDependencies"`
		} `json:"buildDefinition"`
	}
	if s.PredicateType != Provenance || json.Unmarshal(s.Predicate, &p) != nil {
		return "", false
	}
	for _, d := range p.BuildDefinition.ResolvedDependencies {
		if d.Digest.GitCommit != "" {
			return d.Digest.GitCommit, p.BuildDefinition.ExternalParameters.Uncommitted
		}
	}
	return "", false
}

// About reports whether the statement is about the image of that digest.
func (s *Statement) About(digest string) bool {
	for _, subject := range s.Subject {
		if "sha256:"+subject.Digest["sha256"] == digest {
			return true
		}
	}
	return false
}
