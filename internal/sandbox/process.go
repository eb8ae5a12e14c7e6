package sandbox

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

	"github.com/wasmfleet/wasmfleet/internal/envoyconfig"
)

const keptEntries = 200

// process is a running program that logs as envoyconfig.LogFlags ask.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended, was reaped and its log was read

	mu      sync.Mutex
	entries []envoyconfig.LogEntry // the last of them
	logged  int                    // how many there were
}

// startProcess calls log for each entry, one at a time.
func startProcess(path string, args []string, log func(envoyconfig.LogEntry)) (*process, error) {
	p := &process{cmd: exec.Command(path, args...), done: make(chan struct{})}
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
				entry := envoyconfig.ParseLog(line)
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

func (p *process) remember(e envoyconfig.LogEntry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logged++
	p.entries = append(p.entries, e)
	if len(p.entries) > keptEntries {
		p.entries = p.entries[1:]
	}
}

// mark is a place in the log for since.
func (p *process) mark() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logged
}

// since are the entries after the mark, as far as they are kept.
func (p *process) since(mark int) []envoyconfig.LogEntry {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := min(p.logged-mark, len(p.entries))
	return append([]envoyconfig.LogEntry(nil), p.entries[len(p.entries)-n:]...)
}

// stop ends the program and reaps it.
func (p *process) stop() {
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
