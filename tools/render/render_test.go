package render_test

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/wasmfleet/wasmfleet/internal/scripttest"
	"github.com/wasmfleet/wasmfleet/tools/render"
	"github.com/wasmfleet/wasmfleet/tools/rules"
)

func TestMain(m *testing.M) { scripttest.Main(m, render.Command(), rules.Command()) }

func TestScripts(t *testing.T) { scripttest.Run(t, testscript.Params{}) }
