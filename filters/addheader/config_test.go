package main

import (
	"testing"

	"github.com/wasmfleet/wasmfleet/filters/internal/plugintest"
)

func TestConfig(t *testing.T) {
	plugintest.Config(t, parse, map[string]string{
		"duplicate-name":            "a schema sees the document after its duplicate names were merged",
		"framing-header-upper-case": "the schema's enum compares with the case",
	})
}

func FuzzParseConfig(f *testing.F) { plugintest.FuzzConfig(f, parse) }

func parse(data []byte) error {
	_, err := parseConfig(data)
	return err
}
