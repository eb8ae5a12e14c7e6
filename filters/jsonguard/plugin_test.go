package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/wasmfleet/wasmfleet/filters/internal/plugintest"
)

func newVM() types.VMContext { return &vmContext{} }

func start(t *testing.T, vm types.VMContext, config string) proxytest.HostEmulator {
	t.Helper()
	host, status := plugintest.Start(t, vm, []byte(config))
	require.Equal(t, types.OnPluginStartStatusOK, status)
	return host
}

var isJSONType = [2]string{"content-type", "application/json"}

func TestRequestHeaders(t *testing.T) {
	const config = `{"request":{"maxBytes":10}}`
	for name, tt := range map[string]struct {
		config  string
		headers [][2]string
		status  uint32
		text    string
	}{
		"JSON":                     {config, [][2]string{isJSONType, {"content-length", "10"}}, 0, ""},
		"JSON with a charset":      {config, [][2]string{{"content-type", "Application/JSON ; charset=utf-8"}}, 0, ""},
		"a kind of JSON":           {config, [][2]string{{"content-type", "application/merge-patch+json"}}, 0, ""},
		"identity":                 {config, [][2]string{isJSONType, {"content-encoding", "Identity"}}, 0, ""},
		"no body after all":        {config, [][2]string{{"content-length", "0"}}, 0, ""},
		"too large":                {config, [][2]string{isJSONType, {"content-length", "11"}}, 413, "it is too large"},
		"no type":                  {config, nil, 415, "it is not said to be JSON"},
		"another type":             {config, [][2]string{{"content-type", "text/plain"}}, 415, "it is not said to be JSON"},
		"two types":                {config, [][2]string{{"content-type", "text/plain, application/x+json"}}, 415, "it is not said to be JSON"},
		"lines of JSON":            {config, [][2]string{{"content-type", "application/x-ndjson"}}, 415, "it is not said to be JSON"},
		"gzip":                     {config, [][2]string{isJSONType, {"content-encoding", "gzip"}}, 415, "it is compressed"},
		"identity and gzip":        {config, [][2]string{isJSONType, {"content-encoding", "identity, gzip"}}, 415, "it is compressed"},
		"gzip that may pass":       {`{"request":{"compressed":"pass"}}`, [][2]string{isJSONType, {"content-encoding", "gzip"}}, 0, ""},
		"another type that may":    {`{"request":{"otherTypes":"pass"}}`, [][2]string{{"content-type", "text/plain"}}, 0, ""},
		"only responses are asked": {`{"response":{}}`, [][2]string{{"content-type", "text/plain"}}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
				host := start(t, vm, tt.config)
				id := host.InitializeHttpContext()
				action := host.CallOnRequestHeaders(id, tt.headers, false)
				answer := host.GetSentLocalResponse(id)
				if tt.status == 0 {
					require.Nil(t, answer)
					require.Equal(t, types.ActionContinue, action)
					return
				}
				require.Equal(t, types.ActionPause, action)
				require.Equal(t, tt.status, answer.StatusCode)
				require.Equal(t, "jsonguard: the request's body is refused: "+tt.text+"\n", string(answer.Data))
			})
		})
	}
}

func TestRequestBody(t *testing.T) {
	const config = `{"request":{"maxBytes":40,"maxDepth":3,"redact":["/a","/*/x"],"with":"-"}}`
	for name, tt := range map[string]struct {
		pieces []string
		want   string // of the body, or of the refusal
		status uint32
	}{
		"in one piece":      {[]string{`{"a":"secret","b":[{"x":1}]}`}, `{"a":"-","b":[{"x":1}]}`, 0},
		"in pieces":         {[]string{`{"a":"sec`, `ret","b":{"`, `x":`, `12`, `}}`}, `{"a":"-","b":{"x":"-"}}`, 0},
		"nothing to redact": {[]string{`{"c":`, `1}`}, `{"c":1}`, 0},
		"wrong at once":     {[]string{`nope`, ``}, "it is not JSON, at byte 1", 400},
		"a name twice":      {[]string{`{"a":1,`, `"a":2}`}, "an object has a name twice, at byte 9", 400},
		"cut":               {[]string{`{"a":1`}, "it ends before the document does, at byte 6", 400},
		"trailing":          {[]string{`{}`, ` {}`}, "something follows the document, at byte 3", 400},
		"deep":              {[]string{`[[[[`}, "it is nested too deep, at byte 3", 400},
		"too large":         {[]string{`"` + strings.Repeat("a", 30), strings.Repeat("a", 30)}, "it is too large", 413},
	} {
		t.Run(name, func(t *testing.T) {
			plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
				host := start(t, vm, config)
				id := host.InitializeHttpContext()
				require.Equal(t, types.ActionContinue, host.CallOnRequestHeaders(id, [][2]string{isJSONType}, false))
				for i, piece := range tt.pieces {
					if action := host.CallOnRequestBody(id, []byte(piece), i == len(tt.pieces)-1); action == types.ActionContinue {
						require.Equal(t, len(tt.pieces)-1, i, "nothing goes on before the end")
					}
					if host.GetSentLocalResponse(id) != nil {
						break
					}
				}
				answer := host.GetSentLocalResponse(id)
				if tt.status == 0 {
					require.Nil(t, answer)
					require.Equal(t, tt.want, string(host.GetCurrentRequestBody(id)))
					return
				}
				require.NotNil(t, answer)
				require.Equal(t, tt.status, answer.StatusCode)
				require.Equal(t, "jsonguard: the request's body is refused: "+tt.want+"\n", string(answer.Data))
			})
		})
	}
}

func TestResponse(t *testing.T) {
	plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
		host := start(t, vm, `{"response":{"redact":["/a"]}}`)
		id := host.InitializeHttpContext()
		host.CallOnRequestHeaders(id, [][2]string{{":path", "/"}, {"accept-encoding", "gzip"}, {"range", "bytes=1-"}, {"if-range", "x"}}, true)
		require.Equal(t, [][2]string{{":path", "/"}}, host.GetCurrentRequestHeaders(id))
		require.Equal(t, types.ActionContinue, host.CallOnResponseHeaders(id, [][2]string{{":status", "200"}, isJSONType, {"content-length", "20"}}, false))
		require.Equal(t, [][2]string{{":status", "200"}, isJSONType}, host.GetCurrentResponseHeaders(id))
		require.Equal(t, types.ActionContinue, host.CallOnResponseBody(id, []byte(`{"b":1,"a":"secret"}`), true))
		require.Equal(t, `{"b":1,"a":null}`, string(host.GetCurrentResponseBody(id)))
		redacted, err := host.GetCounterMetric("wasm_filter.unnamed.jsonguard.redacted.total")
		require.NoError(t, err)
		require.EqualValues(t, 1, redacted)
	})
}

func TestResponseRefused(t *testing.T) {
	for want, headers := range map[string][][2]string{
		"it is a part of a document": {{":status", "206"}, {"content-type", "multipart/byteranges"}},
		"it is compressed":           {{":status", "200"}, isJSONType, {"content-encoding", "br"}},
		"it is too large":            {{":status", "200"}, isJSONType, {"content-length", "1048577"}},
	} {
		t.Run(want, func(t *testing.T) {
			plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
				host := start(t, vm, `{"response":{}}`)
				id := host.InitializeHttpContext()
				host.CallOnRequestHeaders(id, nil, true)
				host.CallOnResponseHeaders(id, headers, false)
				answer := host.GetSentLocalResponse(id)
				require.NotNil(t, answer)
				require.EqualValues(t, 502, answer.StatusCode)
				require.Equal(t, "jsonguard: the upstream's answer is refused: "+want+"\n", string(answer.Data))
			})
		})
	}
}

func TestOnPluginStartRefuses(t *testing.T) {
	plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
		host, status := plugintest.Start(t, vm, []byte(`{}`))
		require.Equal(t, types.OnPluginStartStatusFailed, status)
		require.Equal(t, []string{`jsonguard: parsing plugin configuration: want "request", "response" or both`}, host.GetCriticalLogs())
	})
}
