package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/preflight"
	"github.com/wasmfleet/wasmfleet/internal/scripttest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"render": main})
}

func TestScripts(t *testing.T) {
	envoy, err := preflight.FindEnvoy()
	require.NoError(t, err)
	modules, err := filepath.Abs("../../internal/preflight/testdata")
	require.NoError(t, err)
	scripttest.Run(t, testscript.Params{Setup: func(e *testscript.Env) error {
		e.Setenv("ENVOY", envoy)
		e.Setenv("MODULES", modules)
		return nil
	}})
}
