//go:build envoy

package main_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/credential_injector/v3" // in docs/jwtfetch/credential-injector.yaml
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/upstream_codec/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/http/injected_credentials/generic/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/sandbox"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// docs/jwtfetch/credential-injector.yaml: Envoy adds the secret to the fetch, and a new one serves without a restart.
func TestCredentialInjector(t *testing.T) {
	t.Parallel()
	docs := filepath.Join(envoytest.Root(t), "docs", "jwtfetch")
	secrets := t.TempDir()
	write := func(credential string) {
		sds, err := os.ReadFile(filepath.Join(docs, "sds.yaml"))
		require.NoError(t, err)
		require.NoError(t, atomicfile.Write(filepath.Join(secrets, "sds.yaml"), []byte(strings.Replace(string(sds), "Basic d2ViOnMzY3JldA==", credential, 1))))
	}
	write("Basic Zmlyc3Q=")

	var got atomic.Value
	p := start(t, envoytest.Setup{
		Filters: envoytest.Chain(jwtfetch(t, `{token: {json: /access_token}, lifetime: {json: /expires_in}, refresh: 1s}`)),
		Services: tokens(func(w http.ResponseWriter, r *http.Request) {
			got.Store(r.Header.Get("authorization"))
			if !strings.HasPrefix(r.Header.Get("authorization"), "Basic ") {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			sandbox.Tokens(w, r)
		}),
	})
	patch := read(t, filepath.Join(docs, "credential-injector.yaml"), secrets)
	patchCluster(p, envoytest.Cluster(t, tokenService), func(c *clusterv3.Cluster) { proto.Merge(c, patch) }) // as Istio merges
	p.WhenServing()
	require.Equal(t, "Basic Zmlyc3Q=", got.Load())
	write("Basic c2Vjb25k")
	require.Eventually(t, func() bool { return got.Load() == "Basic c2Vjb25k" }, envoytest.Timeout, envoytest.Interval)
	require.Equal(t, http.StatusOK, p.Get("/").Status)

	dump := adminPage(p, "/config_dump") + p.Logged()
	require.NotContains(t, dump, "Zmlyc3Q=")
	require.NotContains(t, dump, "c2Vjb25k")
	p.NeverTrapped()
}

// read is the cluster of an EnvoyFilter's only patch, with its files in another folder.
func read(t *testing.T, file, secrets string) *clusterv3.Cluster {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var filter struct {
		Spec struct {
			ConfigPatches []struct {
				Patch struct{ Value json.RawMessage }
			}
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(strings.ReplaceAll(string(data), "/etc/token-client", secrets)), &filter))
	require.Len(t, filter.Spec.ConfigPatches, 1)
	var patch clusterv3.Cluster
	require.NoError(t, protojson.Unmarshal(filter.Spec.ConfigPatches[0].Patch.Value, &patch))
	return &patch
}

// TLS to the token service, and with a certificate of the client: what istiod makes of docs/jwtfetch/tls.yaml.
func TestTokenServiceOverTLS(t *testing.T) {
	for _, mutual := range []bool{false, true} {
		t.Run(fmt.Sprintf("mutual %v", mutual), func(t *testing.T) {
			t.Parallel()
			server := httptest.NewUnstartedServer(sandbox.Tokens)
			if mutual {
				server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
			}
			server.StartTLS()
			t.Cleanup(server.Close)
			certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})

			socket := &tlsv3.UpstreamTlsContext{
				Sni: "example.com",
				CommonTlsContext: &tlsv3.CommonTlsContext{ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{
					ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(certificate)},
				}},
			}
			if mutual {
				key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
				require.NoError(t, err)
				socket.CommonTlsContext.TlsCertificates = []*tlsv3.TlsCertificate{{
					CertificateChain: inline(certificate),
					PrivateKey:       inline(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
				}}
			}
			p := start(t, envoytest.Setup{
				Filters:  envoytest.Chain(jwtfetch(t, oauth)),
				Services: tokens(server.Config.Handler.ServeHTTP),
			})
			patchCluster(p, envoytest.Cluster(t, tokenService), func(c *clusterv3.Cluster) {
				address := c.LoadAssignment.Endpoints[0].LbEndpoints[0].GetEndpoint().Address.GetSocketAddress()
				_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
				var n uint32
				_, err := fmt.Sscan(port, &n)
				require.NoError(t, err)
				address.PortSpecifier = &corev3.SocketAddress_PortValue{PortValue: n}
				config, err := anypb.New(socket)
				require.NoError(t, err)
				c.TransportSocket = &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: config}}
			})
			// Another request, as the first token came without TLS.
			p.Switch(envoytest.Filter(t, "jwtfetch", `{hosts: ['*'], upstream: {host: token.internal, port: 80}, request: {path: /tls},
				token: {json: /access_token}, lifetime: {json: /expires_in}}`))
			require.Regexp(t, `^Bearer [\w-]+\.[\w-]+\.[\w-]+$`, p.WhenServing().Upstream(t).Headers["authorization"])
			require.Positive(t, p.Stat(`cluster\..*token\.internal\.ssl\.handshake`))
			p.NeverTrapped()
		})
	}
}

func inline(data []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: data}}
}

// A denial is UNAVAILABLE to a gRPC client.
func TestDenialOfGRPC(t *testing.T) {
	t.Parallel()
	p := start(t, envoytest.Setup{Filters: envoytest.Chain(jwtfetch(t, oauth)), Services: down})
	r := p.Get("/pkg.Service/Method", "content-type", "application/grpc")
	require.Equal(t, http.StatusOK, r.Status)
	require.Equal(t, "14", r.Header.Get("grpc-status"))
	require.Contains(t, r.Header.Get("grpc-message"), "there is no valid token")
	p.NeverTrapped()
}

// What README says of retries and mirrors: they are copies of the request, made behind the filter, and carry what it carries.
func TestRetriesAndMirrorsCarryTheToken(t *testing.T) {
	t.Parallel()
	mirrored := make(chan string, 100)
	var tries atomic.Int64
	seen := make(chan string, 100)
	_, addresses := upstreams(t, map[string]string{"/mirror": "outbound|80||mirror.internal"}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mirrored <- r.Header.Get("authorization")
	}))
	routes, more := upstreams(t, map[string]string{"/": "outbound|80||api.internal"}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("authorization")
		if tries.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	maps.Copy(addresses, more)
	action := routes[0].GetRoute()
	action.RetryPolicy = &routev3.RetryPolicy{RetryOn: "5xx"}
	action.RequestMirrorPolicies = []*routev3.RouteAction_RequestMirrorPolicy{{Cluster: "outbound|80||mirror.internal"}}
	p := start(t, envoytest.Setup{
		Filters: envoytest.Chain(envoytest.Filter(t, "jwtfetch", `{hosts: [api.internal], upstream: {host: token.internal, port: 80},
			request: {path: /auth}, token: {json: /access_token}, lifetime: {json: /expires_in}}`)),
		Routes: routes, Upstreams: addresses,
	})
	require.Equal(t, http.StatusOK, p.Get("/").Status)
	first := <-seen
	require.Regexp(t, wellFormedToken, first)
	require.Equal(t, first, <-seen, "the retry")
	require.Equal(t, first, <-mirrored, "the mirror, whose host is not in hosts")
	p.NeverTrapped()
}

// Two objects that ask the same share a token, and one fetch; their hosts stay apart.
func TestTwoObjectsOneToken(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	routes, addresses := upstreams(t, map[string]string{"/one": "outbound|80||one.internal", "/two": "outbound|80||two.internal"}, sandbox.Echo)
	object := func(name, host string) sandbox.Filter {
		f := envoytest.Filter(t, "jwtfetch", fmt.Sprintf(`{hosts: [%s], upstream: {host: token.internal, port: 80}, request: {path: /auth},
			token: {json: /access_token}, lifetime: {json: /expires_in}, header: x-%s}`, host, name))
		f.Plugin.Name = name
		return f
	}
	p := start(t, envoytest.Setup{
		Filters: envoytest.Chain(object("one", "one.internal"), object("two", "two.internal")), Routes: routes, Upstreams: addresses,
		Services: tokens(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			sandbox.Tokens(w, r)
		}),
	})
	one, two := p.Get("/one").Upstream(t).Headers, p.Get("/two").Upstream(t).Headers
	require.NotEmpty(t, one["x-one"])
	require.Equal(t, one["x-one"], two["x-two"])
	require.NotContains(t, one, "x-two")
	require.NotContains(t, two, "x-one")
	require.EqualValues(t, 1, asked.Load())
	for _, name := range []string{"one", "two"} {
		require.Positive(t, p.Stat(`wasmcustom\.wasm_filter\.test/`+name+`\.jwtfetch\.token\.expiry\.timestamp\.seconds`), "also of the one that did not ask")
	}
	p.NeverTrapped()
}

// patchCluster changes a cluster of the proxy, and returns when it serves.
func patchCluster(p *envoytest.Proxy, name string, change func(*clusterv3.Cluster)) {
	p.T.Helper()
	file := filepath.Join(configFolder(p), "cds.json")
	data, err := os.ReadFile(file)
	require.NoError(p.T, err)
	var found struct {
		Resources []json.RawMessage `json:"resources"`
	}
	require.NoError(p.T, json.Unmarshal(data, &found))
	changed := false
	for i, raw := range found.Resources {
		var resource anypb.Any
		var cluster clusterv3.Cluster
		require.NoError(p.T, protojson.Unmarshal(raw, &resource))
		require.NoError(p.T, resource.UnmarshalTo(&cluster))
		if cluster.Name != name {
			continue
		}
		change(&cluster)
		packed, err := anypb.New(&cluster)
		require.NoError(p.T, err)
		found.Resources[i], err = protojson.Marshal(packed)
		require.NoError(p.T, err)
		changed = true
	}
	require.True(p.T, changed, "no cluster %s", name)
	data, err = json.Marshal(found)
	require.NoError(p.T, err)
	before := p.Stat(`cluster_manager\.cluster_updated|cluster_manager\.cluster_modified`)
	require.NoError(p.T, atomicfile.Write(file, data))
	require.Eventually(p.T, func() bool {
		return p.Stat(`cluster_manager\.cluster_updated|cluster_manager\.cluster_modified`) > before && p.Stat(`cluster_manager\.warming_clusters`) == 0
	}, envoytest.Timeout, envoytest.Interval)
	time.Sleep(10 * time.Millisecond) // until the workers have it
}
