// Package scripttest runs the txtar stories of the tools: testscript with one more command.
package scripttest

import (
	"errors"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Run runs testdata/script/*.txtar. Beside testscript's own commands, `fails CODE PROGRAM ARG…` wants exactly that exit code.
func Run(t *testing.T, p testscript.Params) {
	p.Dir = "testdata/script"
	p.RequireExplicitExec = false
	if p.Cmds == nil {
		p.Cmds = map[string]func(*testscript.TestScript, bool, []string){}
	}
	p.Cmds["fails"] = fails
	testscript.Run(t, p)
}

func fails(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil || len(args) < 2 {
		ts.Fatalf("usage: fails CODE PROGRAM ARG…")
	}
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != want {
		ts.Fatalf("want exit code %d: %v", want, err)
	}
}
