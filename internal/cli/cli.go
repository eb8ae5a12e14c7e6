// Package cli is the frame that every command shares: verbs, flags, help, exit codes, signals and progress.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"
)

// Exit codes of every command.
const (
	ExitOK       = 0
	ExitFindings = 1 // what was read has something wrong in it
	ExitUsage    = 2 // the command line is wrong
	ExitFailure  = 3 // something outside the input failed: registry, disk, a missing tool
)

// Command is a program or a verb of one, as a value that tests can run.
type Command struct {
	Name  string
	Title string // what it does, in a few words: for the list of verbs
	Args  string // what follows the flags, for the usage line
	About string // what it does, in a sentence or two
	Flags func(*flag.FlagSet)
	Run   func(ctx context.Context, args []string, stdout, stderr io.Writer) error

	program string // with a space behind it, of a verb
}

// Main runs the command until it ends or is interrupted and returns its exit code. Data goes to stdout, talk to stderr.
func (c Command) Main(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(c.Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	if c.Flags != nil {
		c.Flags(flags)
	}
	rest, err := parse(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		c.help(flags, stdout)
		return ExitOK
	case err != nil:
		return c.fail(stderr, Usage("%w", err))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := c.Run(ctx, rest, stdout, stderr); err != nil {
		return c.fail(stderr, err)
	}
	return ExitOK
}

// parse takes flags before and after arguments, as people write them; after -- everything is an argument.
func parse(flags *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		left := flags.Args()
		ended := len(left) < len(args) && args[len(args)-len(left)-1] == "--"
		if ended || len(left) == 0 {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

func (c Command) help(flags *flag.FlagSet, w io.Writer) {
	fmt.Fprintf(w, "usage: %s%s [flags] %s\n\n%s\n\nflags:\n", c.program, c.Name, c.Args, c.About)
	flags.SetOutput(w)
	flags.PrintDefaults()
}

func (c Command) fail(stderr io.Writer, err error) int {
	coded := &exitError{code: ExitFailure, err: err}
	errors.As(err, &coded)
	// A library's error may span lines; a user gets one.
	if text := strings.Join(strings.Fields(err.Error()), " "); text != "" {
		fmt.Fprintf(stderr, "%s: %s\n", c.Name, text)
	}
	if coded.code == ExitUsage {
		fmt.Fprintf(stderr, "see %s%s -h\n", c.program, c.Name)
	}
	return coded.code
}

type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// Usage is an error of the command line: exit code 2 and a pointer to -h.
func Usage(format string, args ...any) error {
	return &exitError{ExitUsage, fmt.Errorf(format, args...)}
}

// Finding is an error in what the command was given to read: exit code 1.
func Finding(format string, args ...any) error {
	return &exitError{ExitFindings, fmt.Errorf(format, args...)}
}

// ErrFindings ends a command with exit code 1 when it has already printed its findings.
var ErrFindings error = &exitError{ExitFindings, errors.New("")}
