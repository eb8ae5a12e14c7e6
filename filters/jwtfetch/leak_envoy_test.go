//go:build envoy

package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	fileaccesslogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/wasmfleet/wasmfleet/internal/atomicfile"
	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/sandbox/envoytest"
)

// canary is in every token of these tests, good or bad, and nowhere else.
const canary = "CaNaRy"

// The token is for the upstream alone: with every log of Envoy that does not print headers at its lowest level, no response, no
// access log and no line of the log has it, whether the token service gives it well or badly.
func TestTokenNeverLeaks(t *testing.T) {
	for name, tc := range map[string]struct {
		body   string // of the token service
		header string // authorization, of the token service
		config string
		status int
	}{
		"good":             {`{"access_token":"` + canary + `.b.c","expires_in":300}`, "", oauth, 200},
		"good header":      {"", "Bearer " + canary + ".b.c", `{token: {header: authorization}, lifetime: {fixed: 300s}}`, 200},
		"not JSON":         {`{"access_token":"` + canary + `.b.c"`, "", oauth, 503},
		"bad bytes":        {`{"access_token":"` + canary + `\r\nx: y","expires_in":300}`, "", oauth, 503},
		"no lifetime":      {`{"access_token":"` + canary + `"}`, "", oauth, 503},
		"odd lifetime":     {`{"access_token":"` + canary + `","expires_in":"` + canary + `"}`, "", oauth, 503},
		"no JWT":           {"", canary, `{token: {header: authorization}, lifetime: {jwt: true}}`, 503},
		"header too long":  {"", canary + strings.Repeat("x", 9000), `{token: {header: authorization}, lifetime: {fixed: 300s}}`, 503},
		"somewhere else":   {`{"token":"` + canary + `","` + canary + `":1}`, "", oauth, 503},
		"duplicate member": {`{"access_token":"` + canary + `","access_token":"` + canary + `"}`, "", oauth, 503},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reached := make(chan struct{})
			p := start(t, envoytest.Setup{
				// Another configuration: the one of the test comes when all logs are on.
				Filters: envoytest.Chain(envoytest.Filter(t, "jwtfetch", `{hosts: ['*'], upstream: {host: token.internal, port: 80}, request: {path: /}, token: {json: /x}, lifetime: {json: /y}}`)),
				Services: tokens(func(w http.ResponseWriter, _ *http.Request) {
					if tc.header != "" {
						w.Header().Set("authorization", tc.header)
					}
					_, _ = io.WriteString(w, tc.body)
				}),
				Backend: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					if strings.Contains(r.Header.Get("authorization"), canary) {
						select {
						case reached <- struct{}{}:
						default:
						}
					}
				}),
			})
			quietLogs(p, "trace")
			accessLog := accessLog(p)
			p.Switch(jwtfetch(t, tc.config))
			if tc.status == 200 {
				p.WhenServing()
			}
			tr := p.Traffic(2, "/a-request", func(a envoytest.Answer) error {
				if a.StatusCode != tc.status {
					return fmt.Errorf("want status %d, got %s", tc.status, a.Status)
				}
				if strings.Contains(fmt.Sprint(a.Header, a.Trailer)+a.Text, canary) {
					return fmt.Errorf("the token is in a response: %s", a.Text)
				}
				return nil
			})
			if tc.status == 200 {
				<-reached // the canary is alive
				p.Logs(": got a token of")
			} else {
				p.Logs(": fetching token: ")
			}
			tr.AtLeast(1000) // Envoy writes the access log 64 KiB at a time
			tr.Stop()

			require.Eventually(t, func() bool { return strings.Count(accessLog(), "/a-request") >= 200 }, envoytest.Timeout, envoytest.Interval)
			require.NotContains(t, accessLog(), canary)
			p.Logs("jwtfetch: ")
			require.NotContains(t, p.Logged(), canary)
			p.NeverTrapped()
		})
	}
}

// The control, and what no filter can help: these logs of Envoy print the headers of requests and responses at debug level, with
// whatever filters put there. README.md of jwtfetch says so.
func TestEnvoysOwnDebugLogsShowHeaders(t *testing.T) {
	t.Parallel()
	p := start(t, envoytest.Setup{
		Filters: envoytest.Chain(jwtfetch(t, oauth)),
		Services: tokens(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"access_token":%q,"expires_in":300}`, canary)
		}),
	})
	p.WhenServing()
	require.NotContains(t, p.Logged(), canary)
	setLevel(p, "router", "debug")
	p.Get("/")
	p.Logs("'authorization', 'Bearer " + canary + "'")
}

// printHeaders are the loggers of Envoy that print headers at debug or trace level.
var printHeaders = []string{"http", "router"}

// quietLogs sets the level of all loggers but those that print headers.
func quietLogs(p *envoytest.Proxy, level string) {
	p.T.Helper()
	for _, logger := range loggers(p) {
		if !slices.Contains(printHeaders, logger) {
			setLevel(p, logger, level)
		}
	}
}

func setLevel(p *envoytest.Proxy, logger, level string) { p.Post("/logging?" + logger + "=" + level) }

// loggers are the names of Envoy's loggers.
func loggers(p *envoytest.Proxy) (names []string) {
	for line := range strings.Lines(p.Post("/logging")) {
		if name, _, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			names = append(names, name)
		}
	}
	require.Contains(p.T, names, "wasm")
	return names
}

// configFolder is where the proxy reads its configuration from.
func configFolder(p *envoytest.Proxy) string {
	p.T.Helper()
	var info struct {
		Options struct {
			Bootstrap string `json:"config_path"`
		} `json:"command_line_options"`
	}
	require.NoError(p.T, json.Unmarshal([]byte(p.Post("/server_info")), &info))
	return filepath.Dir(info.Options.Bootstrap)
}

// accessLog adds an access log in Envoy's own format to the proxy's listener and returns what reads it.
func accessLog(p *envoytest.Proxy) func() string {
	p.T.Helper()
	dir := configFolder(p)
	file := filepath.Join(dir, "lds.json")
	data, err := os.ReadFile(file)
	require.NoError(p.T, err)
	var found struct{ Resources []json.RawMessage }
	require.NoError(p.T, json.Unmarshal(data, &found))
	require.Len(p.T, found.Resources, 1)
	var resource anypb.Any
	var listener listenerv3.Listener
	var manager hcmv3.HttpConnectionManager
	require.NoError(p.T, protojson.Unmarshal(found.Resources[0], &resource))
	require.NoError(p.T, resource.UnmarshalTo(&listener))
	filter := listener.FilterChains[0].Filters[0]
	require.NoError(p.T, filter.GetTypedConfig().UnmarshalTo(&manager))

	log := filepath.Join(dir, "access.log")
	config, err := anypb.New(&fileaccesslogv3.FileAccessLog{Path: log})
	require.NoError(p.T, err)
	manager.AccessLog = []*accesslogv3.AccessLog{{Name: "file", ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: config}}}
	packed, err := anypb.New(&manager)
	require.NoError(p.T, err)
	filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: packed}
	data, err = envoy.Resources(&listener)
	require.NoError(p.T, err)
	before := p.Stat(`listener_manager\.lds\.update_success`)
	require.NoError(p.T, atomicfile.Write(file, data))
	require.Eventually(p.T, func() bool { return p.Stat(`listener_manager\.lds\.update_success`) > before }, envoytest.Timeout, envoytest.Interval)
	return func() string {
		data, err := os.ReadFile(log)
		require.NoError(p.T, err)
		return string(data)
	}
}
