//go:build envoy

// Package run tests the verb run, which starts a real Envoy.
package run

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/envoy"
	"github.com/wasmfleet/wasmfleet/internal/scripttest"
	"github.com/wasmfleet/wasmfleet/tools/run"
)

func TestMain(m *testing.M) { scripttest.Main(m, run.Command()) }

// Beside scripttest's commands, `listen VAR` puts an address that somebody listens on into the variable.
func TestScripts(t *testing.T) {
	program, err := envoy.FindEnvoy()
	require.NoError(t, err)
	modules, err := filepath.Abs("../preflight/testdata")
	require.NoError(t, err)
	scripttest.Run(t, testscript.Params{
		Setup: func(e *testscript.Env) error {
			e.Setenv("ENVOY", program)
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
		},
	})
}
