// Package process starts the programs that the end-to-end tests run, and ends them: whatever becomes of a test, no process stays.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	readyTimeout = time.Minute
	stopTimeout  = 10 * time.Second
	interval     = 10 * time.Millisecond
	tail         = 40 // lines of the log that a failed test shows
)

// Program is what to start.
type Program struct {
	Name     string   // in messages
	Path     string   // of the file
	Args     []string // without the name
	Env      []string // all of it: nothing comes from the test's own environment
	Dir      string   // where it runs
	Isolated bool     // in process and mount namespaces of its own: its mounts are nobody else's, its children die with it
	Ready    func(context.Context) error
	Timeout  time.Duration // until Ready returns nil; a minute when zero
	Owner    testing.TB    // the test with which it ends; the one that starts it when nil
}

// Process is a running program.
type Process struct {
	program Program
	cmd     *exec.Cmd
	log     *os.File
	done    chan struct{} // closed when it has ended and was reaped
	stopped bool
}

// Start returns when the program is ready, and ends it with the test.
func Start(t testing.TB, program Program) *Process {
	t.Helper()
	p := &Process{program: program, done: make(chan struct{})}
	owner := program.Owner
	if owner == nil {
		owner = t
	}
	var err error
	p.log, err = os.Create(filepath.Join(owner.TempDir(), "log"))
	require.NoError(t, err)
	owner.Cleanup(func() {
		p.Stop(owner)
		p.log.Close()
	})
	require.NoError(t, p.start(), "starting %s", program.Name)
	p.wait(t)
	return p
}

func (p *Process) start() error {
	p.cmd = exec.Command(p.program.Path, p.program.Args...)
	p.cmd.Env, p.cmd.Dir = p.program.Env, p.program.Dir
	if p.cmd.Env == nil {
		p.cmd.Env = []string{} // nil would be ours
	}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = attributes(p.program.Isolated)
	started := make(chan error)
	go func() {
		// Linux kills the child when the thread that started it ends; this one ends with the child. When the test is killed or
		// panics, all threads end.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended is in ProcessState
			close(p.done)
		}
	}()
	return <-started
}

func (p *Process) wait(t testing.TB) {
	t.Helper()
	if p.program.Ready == nil {
		return
	}
	timeout := p.program.Timeout
	if timeout == 0 {
		timeout = readyTimeout
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	for {
		err := p.program.Ready(ctx)
		if err == nil {
			return
		}
		select {
		case <-p.done:
			require.FailNow(t, p.program.Name+" has ended", "%s\n%s", p.cmd.ProcessState, p.Tail())
		case <-ctx.Done():
			require.FailNow(t, p.program.Name+" is not ready", "after %s: %v\n%s", timeout, err, p.Tail())
		case <-time.After(interval):
		}
	}
}

// Stop ends the program and everything that it has started, and logs the memory that they took. It may be called twice.
func (p *Process) Stop(t testing.TB) {
	if p.stopped || p.cmd.Process == nil {
		return
	}
	p.stopped = true
	for _, m := range p.Memory() {
		t.Logf("%s: %s: %d MB resident, %d at its peak", p.program.Name, m.Program, m.Resident>>20, m.Peak>>20)
	}
	if t.Failed() {
		t.Logf("%s: the end of its log:\n%s", p.program.Name, p.Tail())
	}
	group := -p.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		t.Errorf("%s did not stop within %s", p.program.Name, stopTimeout)
	}
	_ = syscall.Kill(group, syscall.SIGKILL) // what it left behind, too
	<-p.done
}

// Kill ends the program as a crash would.
func (p *Process) Kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// Log is everything that it has written so far.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Tail is the end of the log.
func (p *Process) Tail() string {
	lines := strings.Split(strings.TrimSpace(p.Log()), "\n")
	return strings.Join(lines[max(0, len(lines)-tail):], "\n")
}

// Memory is what one program takes.
type Memory struct {
	Program        string
	Resident, Peak int // bytes
}

// Memory lists the process and its descendants; nothing where there is no /proc.
func (p *Process) Memory() []Memory {
	var all []Memory
	for _, pid := range descendants(p.cmd.Process.Pid) {
		s := status(fmt.Sprintf("/proc/%d/status", pid))
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && s["VmRSS"] > 0 {
			all = append(all, Memory{string(bytes.TrimSpace(name)), s["VmRSS"] << 10, s["VmHWM"] << 10})
		}
	}
	return all
}

// descendants are the process, its children, theirs, and so on.
func descendants(pid int) []int {
	children := map[int][]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, file := range files {
		s := status(file)
		children[s["PPid"]] = append(children[s["PPid"]], s["Pid"])
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all
}

// status are the numbers in a file /proc/PID/status; none when the process has just ended.
func status(file string) map[string]int {
	b, _ := os.ReadFile(file)
	numbers := map[string]int{}
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		var n int
		if _, err := fmt.Sscan(value, &n); err == nil {
			numbers[name] = n
		}
	}
	return numbers
}

// Until polls until done returns nil, and fails the test after the timeout with its last error.
func Until(t testing.TB, timeout time.Duration, what string, done func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	var last error
	for {
		err := done(ctx)
		if err == nil {
			return
		}
		if last == nil || !errors.Is(err, context.DeadlineExceeded) {
			last = err
		}
		select {
		case <-ctx.Done():
			require.FailNow(t, "timeout: "+what, "after %s: %v", timeout, last)
		case <-time.After(interval):
		}
	}
}
