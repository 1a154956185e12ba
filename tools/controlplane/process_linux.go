package controlplane

import "syscall"

// ownGroup puts a program into a process group of its own, and ends it should this process be killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
