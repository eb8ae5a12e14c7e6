package envoy

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const keptEntries = 200

// Process is a running program that logs as LogFlags ask.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended, was reaped and its log was read

	mu      sync.Mutex
	entries []LogEntry // the last of them
	logged  int        // how many there were
}

// Start starts a program, with more variables in its environment than ours has, and calls log for each entry, one at a time.
func Start(path string, args, env []string, log func(LogEntry)) (*Process, error) {
	p := &Process{cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	// A group of its own: ^C in the terminal must reach us alone, or Envoy is gone before we know why.
	p.cmd.SysProcAttr = dieWithParent(&syscall.SysProcAttr{Setpgid: true})
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	started := make(chan error)
	go func() {
		// Linux kills the child when the thread that started it ends; this one ends with the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		defer close(p.done)
		for lines := bufio.NewReader(stderr); ; {
			line, err := lines.ReadString('\n')
			if line != "" {
				entry := ParseLog(line)
				p.remember(entry)
				log(entry)
			}
			if err != nil {
				break
			}
		}
		_ = p.cmd.Wait() // how it ended is in ProcessState
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", path, err)
	}
	return p, nil
}

func (p *Process) remember(e LogEntry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logged++
	p.entries = append(p.entries, e)
	if len(p.entries) > keptEntries {
		p.entries = p.entries[1:]
	}
}

// Done is closed when the program has ended, was reaped and its log was read.
func (p *Process) Done() <-chan struct{} { return p.done }

// State says how the program ended; it is for after Done.
func (p *Process) State() *os.ProcessState { return p.cmd.ProcessState }

// PID is that of the program.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Mark is a place in the log for Since.
func (p *Process) Mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logged
}

// Since are the entries after the mark, as far as they are kept.
func (p *Process) Since(mark int) []LogEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(p.logged-mark, len(p.entries))
	return append([]LogEntry(nil), p.entries[len(p.entries)-n:]...)
}

// Stop ends the program and reaps it.
func (p *Process) Stop() {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := p.cmd.Process.Signal(s); errors.Is(err, os.ErrProcessDone) {
			break
		}
		select {
		case <-p.done:
			return
		case <-time.After(5 * time.Second):
		}
	}
	<-p.done
}
