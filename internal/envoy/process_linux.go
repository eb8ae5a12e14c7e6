package envoy

import "syscall"

// dieWithParent leaves no Envoy behind when we are killed or a test panics.
func dieWithParent(a *syscall.SysProcAttr) *syscall.SysProcAttr {
	a.Pdeathsig = syscall.SIGKILL
	return a
}
