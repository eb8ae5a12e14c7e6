package publish

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/scripttest"
	"github.com/wasmfleet/wasmfleet/tools/canary"
	"github.com/wasmfleet/wasmfleet/tools/inspect"
	"github.com/wasmfleet/wasmfleet/tools/promote"
	"github.com/wasmfleet/wasmfleet/tools/sbom"
)

func TestMain(m *testing.M) {
	scripttest.Main(m, Command(), inspect.Command(), canary.Command(), promote.Command(), sbom.Command())
}

// Scripts find modules, good and bad, in $LINT and start the registries they need with the command `registry`.
func TestScripts(t *testing.T) {
	modules, err := filepath.Abs("../../internal/wasmfile/testdata/lint")
	require.NoError(t, err)
	scripttest.Run(t, testscript.Params{
		Setup: func(e *testscript.Env) error {
			e.Setenv("DOCKER_CONFIG", e.WorkDir)
			e.Setenv("LINT", modules)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"registry": startRegistry, "tags": tags, "login": dockerLogin, "helper": credentialHelper, "proxy": startProxy, "keypair": keyPair},
	})
}

// startRegistry: registry VAR [refuse METHOD PATH STATUS | password | hang | referrers] starts a registry, on loopback, and sets $VAR to its host.
// It answers STATUS to requests of that method whose path contains PATH; with password it wants user:secret, with hang it never answers.
func startRegistry(ts *testscript.TestScript, _ bool, args []string) {
	real := ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)), ggcr.WithReferrersSupport(len(args) == 2 && args[1] == "referrers"))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(args) == 2 && args[1] == "hang" {
			<-r.Context().Done()
			return
		}
		if len(args) == 5 && r.Method == args[2] && strings.Contains(r.URL.Path, args[3]) {
			http.Error(w, `{"errors":[{"code":"DENIED","message":"refused by the test"}]}`, statusOf[args[4]])
			return
		}
		if _, secret, _ := r.BasicAuth(); len(args) == 2 && args[1] == "password" && secret != "secret" {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		real.ServeHTTP(w, r)
	})
	s := httptest.NewServer(handler)
	ts.Defer(s.Close)
	ts.Setenv(args[0], strings.TrimPrefix(s.URL, "http://"))
}

var statusOf = map[string]int{"400": http.StatusBadRequest, "405": http.StatusMethodNotAllowed, "403": http.StatusForbidden, "415": http.StatusUnsupportedMediaType, "507": http.StatusInsufficientStorage}

// startProxy: proxy VAR CA starts a registry behind TLS that only a proxy reaches: whatever host is asked of the proxy, it connects to
// that registry. $VAR is the proxy's URL, with the credentials it wants, and CA the file with the certificate, which is for example.com.
func startProxy(ts *testscript.TestScript, _ bool, args []string) {
	hidden := httptest.NewTLSServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	ts.Defer(hidden.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:secret"))
		if r.Method != http.MethodConnect || r.Header.Get("Proxy-Authorization") != want {
			http.Error(w, "", http.StatusProxyAuthRequired)
			return
		}
		upstream, err := net.Dial("tcp", hidden.Listener.Addr().String())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		client, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		go func() { _, _ = io.Copy(upstream, client); upstream.Close() }()
		_, _ = io.Copy(client, upstream)
		client.Close()
	}))
	ts.Defer(proxy.Close)
	ts.Setenv(args[0], strings.Replace(proxy.URL, "http://", "http://user:secret@", 1))
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hidden.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), certificate, 0o600))
}

// keyPair: keypair NAME PASSWORD writes NAME.key and NAME.pub, as cosign generate-key-pair does.
func keyPair(ts *testscript.TestScript, _ bool, args []string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	ts.Check(err)
	sealed, err := encrypted.Encrypt(der, []byte(args[1]))
	ts.Check(err)
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: sealed}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o600))
}

// tags: tags HOST REPO prints the tags of a repository, one a line; nothing when there is none.
func tags(ts *testscript.TestScript, _ bool, args []string) {
	resp, err := http.Get(fmt.Sprintf("http://%s/v2/%s/tags/list", args[0], args[1]))
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if resp.StatusCode == http.StatusOK {
		_, err = ts.Stdout().Write(body)
		ts.Check(err)
	}
}

// dockerLogin: login HOST USER PASSWORD does what `docker login` leaves behind.
func dockerLogin(ts *testscript.TestScript, _ bool, args []string) {
	auth := base64.StdEncoding.EncodeToString([]byte(args[1] + ":" + args[2]))
	config := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, args[0], auth)
	ts.Check(os.WriteFile(ts.MkAbs("config.json"), []byte(config), 0o600))
}

// credentialHelper: helper HOST FILE writes a docker configuration that names docker-credential-story for the host.
func credentialHelper(ts *testscript.TestScript, _ bool, args []string) {
	config := fmt.Sprintf(`{"credHelpers":{%q:"story"}}`, args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(config), 0o600))
}
