package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/filters/internal/plugintest"
)

func TestConfig(t *testing.T) {
	plugintest.Config(t, parse, map[string]string{
		"duplicate-name":        "a schema sees the document after its duplicate names were merged",
		"with-too-long-in-utf8": "a schema counts characters, not bytes",
	})
}

func TestParsePointer(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]pointer{"/": {""}, "/a": {"a"}, "/a/0/*": {"a", "0", "*"}, "/a~1b/~0~01": {"a/b", "~~1"}, "/a/": {"a", ""}} {
		require.Equal(t, want, parsePointer(text), text)
	}
}

func TestQuote(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "a", `a"b\c`, "\x00\n\x1f", "äöü😀"} {
		var got string
		require.NoError(t, json.Unmarshal(quote(text), &got))
		require.Equal(t, text, got)
	}
}

func FuzzParseConfig(f *testing.F) { plugintest.FuzzConfig(f, parse) }

func parse(data []byte) error {
	_, err := parseConfig(data)
	return err
}
