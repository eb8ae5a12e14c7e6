//go:build !linux

package process

import "syscall"

// attributes: Istio's agent needs Linux; elsewhere its tests fail when they start it.
func attributes(bool) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
