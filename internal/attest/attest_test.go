package attest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/stretchr/testify/require"
)

// keyPair writes cosign.key and cosign.pub, as cosign generate-key-pair does.
func keyPair(t *testing.T, password string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	sealed, err := encrypted.Encrypt(der, []byte(password))
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{
		"cosign.key": {Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: sealed}, "cosign.pub": {Type: "PUBLIC KEY", Bytes: public},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	return dir
}

const digest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func load(t *testing.T, dir, password string) (*Key, *ecdsa.PublicKey) {
	t.Helper()
	t.Setenv("COSIGN_PASSWORD", password)
	key, err := LoadKey(filepath.Join(dir, "cosign.key"))
	require.NoError(t, err)
	public, err := LoadPublicKey(filepath.Join(dir, "cosign.pub"))
	require.NoError(t, err)
	return key, public
}

func TestSignAndVerify(t *testing.T) {
	key, public := load(t, keyPair(t, "secret"), "secret")
	_, other := load(t, keyPair(t, ""), "")
	signed, err := key.Sign(t.Context(), NewStatement(digest, Signature, []byte(`{}`)))
	require.NoError(t, err)
	s, err := Verify(t.Context(), signed, public, digest)
	require.NoError(t, err)
	require.Equal(t, Signature, s.PredicateType)

	_, err = Verify(t.Context(), signed, other, digest)
	require.EqualError(t, err, "its signature is not of this key, or what it says was changed")
	_, err = Verify(t.Context(), signed, public, strings.ReplaceAll(digest, "aa", "bb"))
	require.ErrorContains(t, err, "it is about another image than sha256:bb")

	// Every change of what was signed is seen.
	change := func(edit func(b map[string]any)) []byte {
		var b map[string]any
		require.NoError(t, json.Unmarshal(signed, &b))
		edit(b)
		data, err := json.Marshal(b)
		require.NoError(t, err)
		return data
	}
	envelope := func(b map[string]any) map[string]any { return b["dsseEnvelope"].(map[string]any) }
	for name, data := range map[string][]byte{
		"another predicate": change(func(b map[string]any) {
			payload, err := base64.StdEncoding.DecodeString(envelope(b)["payload"].(string))
			require.NoError(t, err)
			envelope(b)["payload"] = base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(payload), Signature, SBOM, 1)))
		}),
		"no signature":      change(func(b map[string]any) { envelope(b)["signatures"] = []any{} }),
		"another signature": change(func(b map[string]any) { envelope(b)["signatures"] = []any{map[string]any{"sig": "MAAA"}} }),
		"another type":      change(func(b map[string]any) { b["mediaType"] = "application/json" }),
		"another payload":   change(func(b map[string]any) { envelope(b)["payloadType"] = "text/plain" }),
		"a certificate": change(func(b map[string]any) {
			b["verificationMaterial"] = map[string]any{"certificate": map[string]any{"rawBytes": "AAAA"}}
		}),
		"half of the bundle": signed[:len(signed)/2],
		"nothing":            nil,
	} {
		_, err := Verify(t.Context(), data, public, digest)
		require.Error(t, err, name)
	}
}

func TestKeys(t *testing.T) {
	dir := keyPair(t, "secret")
	t.Setenv("COSIGN_PASSWORD", "wrong")
	_, err := LoadKey(filepath.Join(dir, "cosign.key"))
	require.EqualError(t, err, filepath.Join(dir, "cosign.key")+" does not open with the passphrase in COSIGN_PASSWORD")
	_, err = LoadKey(filepath.Join(dir, "cosign.pub"))
	require.ErrorContains(t, err, "is no private key of cosign")
	_, err = LoadKey("env://NO_KEY_HERE")
	require.ErrorContains(t, err, "variable NO_KEY_HERE is empty")
	_, err = LoadPublicKey(filepath.Join(dir, "cosign.key"))
	require.ErrorContains(t, err, "is no public key in PEM form")
	text, err := os.ReadFile(filepath.Join(dir, "cosign.key"))
	require.NoError(t, err)
	t.Setenv("KEY", string(text))
	t.Setenv("COSIGN_PASSWORD", "secret")
	_, err = LoadKey("env://KEY")
	require.NoError(t, err)
}

func TestTrust(t *testing.T) {
	key, public := load(t, keyPair(t, "secret"), "secret")
	provenance := func(builder string) []byte {
		return []byte(`{"runDetails":{"builder":{"id":"` + builder + `"}}}`)
	}
	sign := func(predicateType string, predicate []byte) []byte {
		b, err := key.Sign(t.Context(), NewStatement(digest, predicateType, predicate))
		require.NoError(t, err)
		return b
	}
	trust := &Trust{Builders: []string{"https://github.com/acme/filters/.github/workflows/publish.yaml@"}, Environments: map[string]string{"stage": Signed, "live": WithOrigin, "test": None}}
	signature, bom := sign(Signature, []byte("{}")), sign(SBOM, []byte("{}"))
	ours := sign(Provenance, provenance("https://github.com/acme/filters/.github/workflows/publish.yaml@refs/heads/main"))
	byHand := sign(Provenance, provenance("local"))
	for _, c := range []struct {
		env     string
		bundles [][]byte
		want    string
	}{
		{"test", nil, ""},
		{"elsewhere", nil, ""},
		{"stage", nil, "has no signature of the key"},
		{"stage", [][]byte{bom, ours}, "has no signature of the key"},
		{"stage", [][]byte{signature}, ""},
		{"live", [][]byte{signature}, "has no provenance of a builder"},
		{"live", [][]byte{signature, byHand}, `it was built by "local", which trust.yaml does not list`},
		{"live", [][]byte{signature, ours}, ""},
		{"live", [][]byte{ours}, "has no signature of the key"},
	} {
		got := trust.Check(c.env, VerifyAll(t.Context(), c.bundles, public, digest))
		if c.want == "" {
			require.Empty(t, got, c.env)
		} else {
			require.Contains(t, got, c.want, c.env)
		}
	}
}

// What a registry gives is anything.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"mediaType":"` + BundleType + `","dsseEnvelope":{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"sig":"AA=="}]}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Read(data)
		if err == nil {
			require.NotNil(t, s)
			_ = s.Builder()
		}
	})
}

// What cosign itself has written is read: its key, and its signature.
func TestCosign(t *testing.T) {
	key, public := load(t, "testdata/cosign", "pw")
	require.Equal(t, public, key.Public())
	signed, err := os.ReadFile("testdata/cosign/bundle.json")
	require.NoError(t, err)
	of, err := os.ReadFile("testdata/cosign/digest")
	require.NoError(t, err)
	s, err := Verify(t.Context(), signed, public, string(of))
	require.NoError(t, err)
	require.Equal(t, Signature, s.PredicateType)
	// The bundle names the key as ours do.
	var theirs, ours bundle
	require.NoError(t, json.Unmarshal(signed, &theirs))
	again, err := key.Sign(t.Context(), *s)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(again, &ours))
	require.Equal(t, theirs.Material.PublicKey.Hint, ours.Material.PublicKey.Hint)
	_, err = Verify(t.Context(), signed, public, digest)
	require.ErrorContains(t, err, "another image")
}
