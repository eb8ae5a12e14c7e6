package cli_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmfleet/wasmfleet/internal/cli"
)

func TestMain(t *testing.T) {
	for name, c := range map[string]struct {
		args           []string
		err            error
		code           int
		stdout, stderr string
	}{
		"fine":      {nil, nil, cli.ExitOK, "", ""},
		"help":      {[]string{"-h"}, errors.New("not run"), cli.ExitOK, "usage: demo [flags] THING\n\nDoes it.\n\nflags:\n  -n\ta number\n", ""},
		"bad flag":  {[]string{"--what"}, errors.New("not run"), cli.ExitUsage, "", "demo: flag provided but not defined: -what\nsee demo -h\n"},
		"usage":     {nil, cli.Usage("want %s", "more"), cli.ExitUsage, "", "demo: want more\nsee demo -h\n"},
		"finding":   {nil, cli.Finding("%s: bad", "file"), cli.ExitFindings, "", "demo: file: bad\n"},
		"findings":  {nil, cli.ErrFindings, cli.ExitFindings, "", ""},
		"failure":   {nil, errors.New("no\n  network"), cli.ExitFailure, "", "demo: no network\n"},
		"a wrapped": {nil, errors.Join(cli.Usage("x")), cli.ExitUsage, "", "demo: x\nsee demo -h\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := cli.Command{
				Name: "demo", Args: "THING", About: "Does it.",
				Flags: func(f *flag.FlagSet) { f.Bool("n", false, "a number") },
				Run:   func(context.Context, []string, io.Writer, io.Writer) error { return c.err },
			}.Main(c.args, &stdout, &stderr)
			require.Equal(t, c.code, code)
			require.Equal(t, c.stdout, stdout.String())
			require.Equal(t, c.stderr, stderr.String())
		})
	}
}

// Flags may stand before and after the arguments.
func TestFlagsAnywhere(t *testing.T) {
	for args, want := range map[string]string{
		"a --env x b":      "x [a b]",
		"--env x a b":      "x [a b]",
		"a b --env=x":      "x [a b]",
		"a -- --env x":     " [a --env x]",
		"-- a --env x":     " [a --env x]",
		"--env x -- -a":    "x [-a]",
		"a - --env x":      "x [a -]",
		"a --unknown":      "usage",
		"a --env":          "usage",
		"a --env x --help": "help",
	} {
		var env string
		var got []string
		var out, errs bytes.Buffer
		c := cli.Command{Name: "c", Flags: func(f *flag.FlagSet) { f.StringVar(&env, "env", "", "") }, Run: func(_ context.Context, args []string, _, _ io.Writer) error {
			got = args
			return nil
		}}
		switch code := c.Main(strings.Fields(args), &out, &errs); want {
		case "usage":
			require.Equal(t, cli.ExitUsage, code, args)
		case "help":
			require.Equal(t, cli.ExitOK, code, args)
			require.Contains(t, out.String(), "usage: c")
		default:
			require.Equal(t, cli.ExitOK, code, "%s: %s", args, &errs)
			require.Equal(t, want, fmt.Sprint(env, " ", got), args)
		}
	}
}
