// Package registry pushes to a real registry, CNCF Distribution, in the ways that users have it set up.
package registry

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const root = "../../.."

// The login that every registry with authentication knows.
const user, password = "bob", "hunter2-canary"

// bcrypt of password, as htpasswd -B writes it.
const htpasswd = "bob:$2a$04$41ojd6XY7tKo8g0MOxBVhuc92QEvNIFkZB0av/anxZdCVtynsPOE.\n"

func tool(t *testing.T, pattern string) string {
	found, err := filepath.Glob(filepath.Join(root, pattern))
	require.NoError(t, err)
	require.NotEmpty(t, found, `no %s. run "make e2e"`, pattern)
	path, err := filepath.Abs(found[0])
	require.NoError(t, err)
	return path
}

// start runs a registry on a free port of loopback and waits until it answers. http and auth are parts of its configuration.
func start(t *testing.T, http, auth string) (host string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	host = l.Addr().String()
	require.NoError(t, l.Close())
	config := filepath.Join(t.TempDir(), "config.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `version: 0.1
log: {level: warn}
storage: {inmemory: {}}
http: {addr: %q, %s}
%s
`, host, http, auth), 0o600))
	cmd := exec.Command(tool(t, ".tools/registry-v*"), "serve", config)
	var logs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &logs, &logs
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(logs.String())
		}
	})
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", host)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, 10*time.Second, 20*time.Millisecond, "the registry did not start")
	return host
}

// result is what a run of a tool left.
type result struct {
	stdout, stderr string
	err            error
}

// run runs a tool in the repository's root with a docker configuration of its own.
func run(t *testing.T, dockerConfig string, program string, args ...string) result {
	cmd := exec.Command(program, args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+dockerConfig)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	require.NotContains(t, stdout.String()+stderr.String(), password, "no tool prints credentials")
	return result{stdout.String(), stderr.String(), err}
}

// loggedIn is a docker configuration as `docker login` leaves it; nobody is none.
func loggedIn(t *testing.T, host string) string {
	dir := t.TempDir()
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "config.json"), fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, auth), 0o600))
	return dir
}

var digest = regexp.MustCompile(`@(sha256:[0-9a-f]{64})\n`)

// pushAndCheck pushes both forms twice and checks them.
func pushAndCheck(t *testing.T, dockerConfig, host string, flags ...string) {
	wasmfleet := tool(t, "bin/wasmfleet")
	for _, variant := range []string{"artifact", "compat"} {
		args := append(append([]string{"publish"}, flags...), "--variant", variant, "--repo", host+"/team", "--version", variant, "addheader")
		first := run(t, dockerConfig, wasmfleet, args...)
		require.NoError(t, first.err, first.stderr)
		require.Contains(t, first.stderr, "pushed and checked")
		again := run(t, dockerConfig, wasmfleet, args...)
		require.NoError(t, again.err, again.stderr)
		require.Contains(t, again.stderr, "is there already")
		require.Equal(t, first.stdout, again.stdout)
		checked := run(t, dockerConfig, wasmfleet, append(append([]string{"inspect"}, flags...), strings.TrimSpace(first.stdout))...)
		require.NoError(t, checked.err, checked.stderr)
		require.Contains(t, checked.stdout, "form     "+variant)
	}
}

func TestPlainHTTP(t *testing.T) {
	pushAndCheck(t, t.TempDir(), start(t, "", ""))
	pushAndCheck(t, t.TempDir(), start(t, "", ""), "--plain-http")
}

func TestHtpasswd(t *testing.T) {
	file := filepath.Join(t.TempDir(), "htpasswd")
	require.NoError(t, os.WriteFile(file, []byte(htpasswd), 0o600))
	host := start(t, "", fmt.Sprintf("auth: {htpasswd: {realm: test, path: %q}}", file))
	nobody := run(t, t.TempDir(), tool(t, "bin/wasmfleet"), "publish", "--repo", host+"/team", "--version", "v1", "addheader")
	require.Error(t, nobody.err)
	require.Contains(t, nobody.stderr, "answers 401")
	require.Contains(t, nobody.stderr, `run "docker login `+host+`"`)
	pushAndCheck(t, loggedIn(t, host), host)
}

func TestPrivateCA(t *testing.T) {
	ca, certificate, key := certificates(t)
	host := start(t, fmt.Sprintf("tls: {certificate: %q, key: %q}", certificate, key), "")
	unknown := run(t, t.TempDir(), tool(t, "bin/wasmfleet"), "publish", "--repo", host+"/team", "--version", "v1", "addheader")
	require.Error(t, unknown.err)
	require.Contains(t, unknown.stderr, "give its root with --ca-file")
	pushAndCheck(t, t.TempDir(), host, "--ca-file", ca)
}

// A token service as hosted registries have it: it takes the login and gives a token for the repositories asked for.
func TestTokenAuth(t *testing.T) {
	_, certificate, key := certificates(t)
	scopes := make(chan []string, 100)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); ok && (u != user || p != password) || !ok {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		scopes <- r.URL.Query()["scope"]
		_ = json.NewEncoder(w).Encode(map[string]any{"token": token(t, certificate, key, r.URL.Query()["scope"]), "expires_in": 300})
	}))
	defer service.Close()
	host := start(t, "", fmt.Sprintf("auth: {token: {realm: %q, service: test, issuer: test, rootcertbundle: %q}}",
		strings.Replace(service.URL, "127.0.0.1", "localhost", 1)+"/token", certificate)) // a realm by address is refused: it could be anything inside
	nobody := run(t, t.TempDir(), tool(t, "bin/wasmfleet"), "publish", "--repo", host+"/team", "--version", "v1", "addheader")
	require.Error(t, nobody.err)
	require.Contains(t, nobody.stderr, `run "docker login `+host+`"`)

	all := run(t, loggedIn(t, host), tool(t, "bin/wasmfleet"), "publish", "--repo", host+"/team", "--version", "v1", "addheader", "jwtfetch")
	require.NoError(t, all.err, all.stderr)
	require.Equal(t, []string{"repository:team/addheader:push,pull", "repository:team/jwtfetch:push,pull"}, <-scopes)
	require.Empty(t, scopes, "one token for all filters")
	pushAndCheck(t, loggedIn(t, host), host)
}

// Users list and mirror with the tools they have; a copy by digest keeps every byte, and --check says so.
func TestCrane(t *testing.T) {
	from, to := start(t, "", ""), start(t, "", "")
	pushed := run(t, t.TempDir(), tool(t, "bin/wasmfleet"), "publish", "--repo", from+"/team", "--version", "v1.2.3", "addheader")
	require.NoError(t, pushed.err, pushed.stderr)
	want := digest.FindStringSubmatch(pushed.stdout)[1]

	crane := tool(t, ".tools/crane-v*")
	require.Equal(t, "v1.2.3\n", run(t, t.TempDir(), crane, "ls", from+"/team/addheader").stdout)
	copied := run(t, t.TempDir(), crane, "copy", from+"/team/addheader@"+want, to+"/mirror/addheader:v1.2.3")
	require.NoError(t, copied.err, copied.stderr)
	checked := run(t, t.TempDir(), tool(t, "bin/wasmfleet"), "inspect", to+"/mirror/addheader@"+want)
	require.NoError(t, checked.err, checked.stderr)
	require.Contains(t, checked.stdout, "digest   "+want)
}

// certificates makes a root and a certificate of 127.0.0.1 that it signed, as files.
func certificates(t *testing.T) (ca, certificate, key string) {
	dir := t.TempDir()
	rootKey, leafKey := newKey(t), newKey(t)
	rootTemplate := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leafTemplate := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature}
	rootDER, err := x509.CreateCertificate(rand.Reader, rootTemplate, rootTemplate, rootKey.Public(), rootKey)
	require.NoError(t, err)
	leafDER, err := x509.CreateCertificate(rand.Reader, leafTemplate, rootTemplate, leafKey.Public(), rootKey)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(leafKey)
	require.NoError(t, err)
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	return write("ca.pem", "CERTIFICATE", rootDER), write("cert.pem", "CERTIFICATE", leafDER), write("key.pem", "PRIVATE KEY", keyDER)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// token is a registry token (distribution's docs/content/spec/auth/jwt.md) that grants what was asked for.
func token(t *testing.T, certificate, key string, scopes []string) string {
	read := func(file string) []byte {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		block, _ := pem.Decode(content)
		return block.Bytes
	}
	private, err := x509.ParsePKCS8PrivateKey(read(key))
	require.NoError(t, err)
	var access []map[string]any
	for _, s := range scopes {
		part := strings.Split(s, ":")
		access = append(access, map[string]any{"type": part[0], "name": part[1], "actions": strings.Split(part[2], ",")})
	}
	encode := func(v any) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	now := time.Now().Unix()
	signed := encode(map[string]any{"typ": "JWT", "alg": "ES256", "x5c": []string{base64.StdEncoding.EncodeToString(read(certificate))}}) + "." +
		encode(map[string]any{"iss": "test", "sub": user, "aud": "test", "exp": now + 300, "nbf": now - 10, "iat": now, "jti": fmt.Sprint(now), "access": access})
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, private.(*ecdsa.PrivateKey), sum[:])
	require.NoError(t, err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}
