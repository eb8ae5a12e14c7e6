package diff_test

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/wasmfleet/wasmfleet/internal/scripttest"
	"github.com/wasmfleet/wasmfleet/tools/diff"
	"github.com/wasmfleet/wasmfleet/tools/render"
)

func TestMain(m *testing.M) { scripttest.Main(m, diff.Command(), render.Command()) }

func TestScripts(t *testing.T) { scripttest.Run(t, testscript.Params{}) }
