package atomicfile

import "golang.org/x/sys/unix"

func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if err == unix.EINVAL || err == unix.ENOSYS { // a file system, or a kernel, without it
		return unix.EOPNOTSUPP
	}
	return err
}
