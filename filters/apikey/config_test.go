package main

import (
	"testing"

	"github.com/wasmfleet/wasmfleet/filters/internal/plugintest"
)

func TestConfig(t *testing.T) {
	plugintest.Config(t, parse, map[string]string{
		"same-header":       "a schema does not compare two fields",
		"same-header-cgi":   "a schema does not compare two fields",
		"name-twice":        "a schema compares whole items only",
		"key-of-two":        "a schema does not compare across items",
		"key-twice-by-case": "a schema compares with the case",
		"duplicate-name":    "a schema sees the document after its duplicate names were merged",
	})
}

func FuzzParseConfig(f *testing.F) { plugintest.FuzzConfig(f, parse) }

func parse(data []byte) error {
	_, err := parseConfig(data)
	return err
}
