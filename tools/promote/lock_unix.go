//go:build unix

package main

import (
	"errors"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// tryLock takes the lock of an open folder, which ends with the process, and says whether somebody else has it.
func tryLock(f *os.File) (busy bool, err error) {
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// share makes the lock last until the command has ended, too: when this process is killed the command goes on, in the folder
// that the next promote removes.
func share(lock *os.File, cmd *exec.Cmd) { cmd.ExtraFiles = append(cmd.ExtraFiles, lock) }
