package envoy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const keptEntries = 200

// Process is a running program that logs as LogFlags ask.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended, was reaped and its log was read
	log  *os.File      // what the program logs to: the end of the pipe that is ours, too

	sync   sync.Mutex // one Sync at a time
	synced chan struct{}

	mu      sync.Mutex
	entries []LogEntry // the last of them
	logged  int        // how many there were
}

// Start starts a program, with more variables in its environment than ours has, and calls log for each entry, one at a time.
func Start(path string, args, env []string, log func(LogEntry)) (*Process, error) {
	p := &Process{cmd: exec.Command(path, args...), done: make(chan struct{}), synced: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	// A group of its own: ^C in the terminal must reach us alone, or Envoy is gone before we know why.
	p.cmd.SysProcAttr = dieWithParent(&syscall.SysProcAttr{Setpgid: true})
	stderr, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stderr, p.log = w, w
	started, reaped := make(chan error), make(chan struct{})
	go func() {
		// Linux kills the child when the thread that started it ends; this one ends with the child.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(reaped)
		defer w.Close()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // how it ended is in ProcessState
		}
	}()
	if err := <-started; err != nil {
		return nil, errors.Join(fmt.Errorf("starting %s: %w", path, err), stderr.Close())
	}
	go func() {
		defer close(p.done)
		defer stderr.Close()
		p.read(stderr, log)
		<-reaped
	}()
	return p, nil
}

// syncLine is what no program logs.
const syncLine = "\x00sync\n"

func (p *Process) read(stderr io.Reader, log func(LogEntry)) {
	for lines := bufio.NewReader(stderr); ; {
		line, err := lines.ReadString('\n')
		line, mark := strings.CutSuffix(line, syncLine)
		if line != "" {
			entry := ParseLog(line)
			p.remember(entry)
			log(entry)
		}
		if mark {
			p.synced <- struct{}{}
		}
		if err != nil {
			return
		}
	}
}

// Sync returns when all that the program has logged so far was given to log.
func (p *Process) Sync() {
	p.sync.Lock()
	defer p.sync.Unlock()
	if _, err := p.log.WriteString(syncLine); err != nil {
		<-p.done // it has ended
		return
	}
	<-p.synced
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

// Kill ends the program without asking it.
func (p *Process) Kill() { _ = p.cmd.Process.Kill() }

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
