package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// tick of the kernel's accounting in /proc/<pid>/stat: 10 ms on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// usage is what /proc/<pid>/stat says of a process.
type usage struct {
	cpu time.Duration // in user and kernel mode, all threads
	rss int           // bytes
}

func usageOf(fs procfs.FS, pid int) (usage, error) {
	p, err := fs.Proc(pid)
	if err != nil {
		return usage{}, fmt.Errorf("reading process %d: %w", pid, err)
	}
	stat, err := p.Stat()
	if err != nil {
		return usage{}, fmt.Errorf("reading the stat of process %d: %w", pid, err)
	}
	return usage{cpu: time.Duration(stat.UTime+stat.STime) * tick, rss: stat.ResidentMemory()}, nil
}

// pinApart gives Envoy the first CPU and the load, which is this process, all others: neither moves, nor do they take turns.
func pinApart(pid int) error {
	var allowed, first unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("reading the CPUs of this process: %w", err)
	}
	if allowed.Count() < 2 {
		return nil
	}
	for cpu := 0; first.Count() == 0; cpu++ {
		if allowed.IsSet(cpu) {
			first.Set(cpu)
			allowed.Clear(cpu)
		}
	}
	if err := pin(pid, &first); err != nil {
		return err
	}
	return pin(os.Getpid(), &allowed)
}

// pin moves the threads of a process. Threads that they start later stay with them.
func pin(pid int, cpus *unix.CPUSet) error {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return fmt.Errorf("pinning process %d: %w", pid, err)
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, cpus); err != nil && err != unix.ESRCH {
			return fmt.Errorf("pinning thread %d of process %d: %w", id, pid, err)
		}
	}
	return nil
}
