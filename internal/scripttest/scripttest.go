// Package scripttest runs the verbs in tests: in txtar stories, and as processes that can be killed.
package scripttest

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/wasmfleet/wasmfleet/internal/catalog"
	"github.com/wasmfleet/wasmfleet/internal/cli"
	"github.com/wasmfleet/wasmfleet/internal/image"
)

// asProgram makes a test's own executable be the program wasmfleet.
const asProgram = "SCRIPTTEST_AS_PROGRAM"

// Main is the TestMain of a package whose tests run these verbs. In stories they are those of the program wasmfleet.
func Main(m *testing.M, verbs ...cli.Command) {
	run := func() {
		os.Exit(cli.Program{Name: "wasmfleet", Verbs: verbs}.Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	if os.Getenv(asProgram) != "" {
		run()
	}
	testscript.Main(m, map[string]func(){"wasmfleet": run})
}

// Command is a verb with its arguments as a process of its own.
func Command(args ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		panic(err) // it runs
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// Run runs testdata/script/*.txtar. Beside testscript's own commands, `fails CODE PROGRAM ARG…` wants exactly that exit code, and
// `pin FILE FILTER MODULE` replaces DIGEST in the file by the digest of the image that publish would make of the module.
func Run(t *testing.T, p testscript.Params) {
	p.Dir = "testdata/script"
	p.RequireExplicitExec = false
	if p.Cmds == nil {
		p.Cmds = map[string]func(*testscript.TestScript, bool, []string){}
	}
	p.Cmds["fails"], p.Cmds["pin"] = fails, pin
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

func pin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: pin FILE FILTER MODULE")
	}
	module, err := os.ReadFile(ts.MkAbs(args[2]))
	ts.Check(err)
	filter, err := catalog.Find(ts.MkAbs("filters"), args[1])
	ts.Check(err)
	image, err := image.Build(module, filter, image.Artifact)
	ts.Check(err)
	digest, err := image.Digest()
	ts.Check(err)
	file := ts.MkAbs(args[0])
	ts.Check(os.WriteFile(file, []byte(strings.ReplaceAll(ts.ReadFile(file), "DIGEST", digest.Hex)), 0o644))
}
