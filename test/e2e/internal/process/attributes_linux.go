package process

import (
	"os"
	"syscall"
)

// attributes make a group of its own, which ^C in the terminal does not reach before we can stop it, that dies with us.
func attributes(isolated bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if !isolated {
		return a
	}
	// The first process of a process namespace takes all others with it when it ends, also when it is killed.
	a.Cloneflags = syscall.CLONE_NEWPID
	// Unshared rather than cloned: Go then makes the mounts private, so that none of them reaches the machine.
	a.Unshareflags = syscall.CLONE_NEWNS
	if os.Geteuid() != 0 {
		a.Cloneflags |= syscall.CLONE_NEWUSER
		a.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	return a
}
