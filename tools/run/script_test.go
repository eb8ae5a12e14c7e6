package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/filterimage"
	"github.com/wasmfleet/wasmfleet/internal/preflight"
	"github.com/wasmfleet/wasmfleet/internal/scripttest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"run": main})
}

// Beside testscript's own commands, `pin FILE FILTER MODULE` replaces DIGEST in the file by the digest of the filter's image, and
// `listen VAR` puts an address that somebody listens on into the variable.
func TestScripts(t *testing.T) {
	envoy, err := preflight.FindEnvoy()
	require.NoError(t, err)
	modules, err := filepath.Abs("../../internal/preflight/testdata")
	require.NoError(t, err)
	scripttest.Run(t, testscript.Params{
		Setup: func(e *testscript.Env) error {
			e.Setenv("ENVOY", envoy)
			e.Setenv("MODULES", modules)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"listen": func(ts *testscript.TestScript, _ bool, args []string) {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				ts.Check(err)
				ts.Defer(func() { ts.Check(l.Close()) })
				ts.Setenv(args[0], l.Addr().String())
			},
			"pin": func(ts *testscript.TestScript, _ bool, args []string) {
				module, err := os.ReadFile(ts.MkAbs(args[2]))
				ts.Check(err)
				filter, err := catalog.Find(ts.MkAbs("filters"), args[1])
				ts.Check(err)
				image, err := filterimage.Build(module, filter, filterimage.Artifact)
				ts.Check(err)
				digest, err := image.Digest()
				ts.Check(err)
				file := ts.MkAbs(args[0])
				ts.Check(os.WriteFile(file, []byte(strings.Replace(ts.ReadFile(file), "DIGEST", digest.Hex, 1)), 0o644))
			},
		},
	})
}
