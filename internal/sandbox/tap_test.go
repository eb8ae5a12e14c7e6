package sandbox

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
)

func TestParseTap(t *testing.T) {
	entry := func(logger, message string) envoy.LogEntry {
		return envoy.LogEntry{Level: "info", Logger: logger, Message: message}
	}
	got, ok := ParseTap(entry("lua", "script log: place=1&way=out&id=a%26b&h%3Astatus=200&hx=1&hx=%0A2"))
	require.True(t, ok)
	require.Equal(t, Tap{Place: 1, Request: "a&b", Out: true, Headers: map[string][]string{":status": {"200"}, "x": {"1", "\n2"}}}, got)
	for name, e := range map[string]envoy.LogEntry{
		"a filter says the same": entry("wasm", "script log: place=1&way=in&id=a"),
		"another script":         entry("lua", "script log: hello"),
		"no script":              entry("lua", "place=1&way=in&id=a"),
		"no escape":              entry("lua", "script log: place=1&hx=%zz"),
	} {
		_, ok := ParseTap(e)
		require.False(t, ok, name)
	}
}

func FuzzParseTap(f *testing.F) {
	f.Add("script log: place=1&way=out&id=a%26b&h%3Astatus=200")
	f.Add("script log: place=-1&hx=%zz&%")
	f.Fuzz(func(t *testing.T, message string) {
		if tap, ok := ParseTap(envoy.LogEntry{Logger: "lua", Message: message}); ok {
			require.NotNil(t, tap.Headers)
			require.GreaterOrEqual(t, tap.Place, 0)
		}
	})
}
