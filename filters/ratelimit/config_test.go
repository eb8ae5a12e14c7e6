package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/filters/internal/plugintest"
)

func TestConfig(t *testing.T) {
	plugintest.Config(t, parse, map[string]string{
		"duplicate-name":            "a schema sees the document after its duplicate names were merged",
		"framing-header-upper-case": "the schema's enum compares with the case",
		"too-slow":                  "a schema does not compute",
		"per-long-in-minutes":       "the schema does not convert units",
		"per-long-in-ms":            "the schema does not convert units",
	})
}

func TestParseConfig(t *testing.T) {
	c, err := parseConfig([]byte(`{"requests":90,"per":"1m","client":{"address":true}}`))
	require.NoError(t, err)
	require.Equal(t, limit{instant((time.Minute + 89) / 90), 90}, c.limit)
	require.Equal(t, 128, c.sets())
	c, err = parseConfig([]byte(`{"requests":1,"per":"1s","burst":5,"client":{"header":"X-Who"},"clients":9}`))
	require.NoError(t, err)
	require.Equal(t, limit{instant(time.Second), 5}, c.limit)
	require.Equal(t, "x-who", c.client.header)
	require.Equal(t, 2, c.sets())
}

func FuzzParseConfig(f *testing.F) { plugintest.FuzzConfig(f, parse) }

func parse(data []byte) error {
	_, err := parseConfig(data)
	return err
}
