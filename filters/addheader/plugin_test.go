package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	"github.com/wasmfleet/wasmfleet/filters/internal/plugintest"
)

func newVM() types.VMContext { return &vmContext{} }

func TestOnHttpResponseHeaders(t *testing.T) {
	tests := []struct {
		name          string
		upstream, out [][2]string
	}{
		{
			name:     "adds the header",
			upstream: [][2]string{{":status", "200"}, {"server", "upstream"}},
			out:      [][2]string{{":status", "200"}, {"server", "upstream"}, {"hello", "world"}},
		},
		{
			name:     "replaces the upstream's header",
			upstream: [][2]string{{":status", "200"}, {"Hello", "upstream"}},
			out:      [][2]string{{":status", "200"}, {"hello", "world"}},
		},
		{
			name: "no headers at all",
			out:  [][2]string{{"hello", "world"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
				host, status := plugintest.Start(t, vm, []byte(`{"name":"Hello","value":"world"}`))
				require.Equal(t, types.OnPluginStartStatusOK, status)

				id := host.InitializeHttpContext()
				require.Equal(t, types.ActionContinue, host.CallOnRequestHeaders(id, nil, true))
				require.Equal(t, types.ActionContinue, host.CallOnResponseHeaders(id, tt.upstream, true))
				require.Equal(t, tt.out, host.GetCurrentResponseHeaders(id))
				host.CompleteHttpContext(id)
			})
		})
	}
}

func TestOnPluginStartRefuses(t *testing.T) {
	tests := []struct{ name, config, log string }{
		{
			name: "an absent configuration",
			log:  `addheader: parsing plugin configuration: want a configuration such as {"name":"hello","value":"world"}`,
		},
		{
			name:   "a misspelt field",
			config: `{"nmae":"hello","value":"world"}`,
			log:    `addheader: parsing plugin configuration: /nmae: unknown field. known fields are "name" and "value"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			plugintest.Run(t, newVM, func(t *testing.T, vm types.VMContext) {
				host, status := plugintest.Start(t, vm, []byte(tt.config))
				require.Equal(t, types.OnPluginStartStatusFailed, status)
				require.Equal(t, []string{tt.log}, host.GetCriticalLogs())
			})
		})
	}
}
