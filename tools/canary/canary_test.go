package canary_test

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/wasmfleet/wasmfleet/internal/scripttest"
	"github.com/wasmfleet/wasmfleet/tools/canary"
	"github.com/wasmfleet/wasmfleet/tools/promote"
	"github.com/wasmfleet/wasmfleet/tools/render"
)

func TestMain(m *testing.M) {
	scripttest.Main(m, canary.Command(), promote.Command(), render.Command())
}

func TestScripts(t *testing.T) { scripttest.Run(t, testscript.Params{}) }
