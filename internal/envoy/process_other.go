//go:build !linux

package envoy

import "syscall"

// dieWithParent is for Linux: elsewhere an Envoy outlives a parent that was killed.
func dieWithParent(a *syscall.SysProcAttr) *syscall.SysProcAttr { return a }
