package process

import (
	"os/exec"
	"runtime"
	"syscall"
)

// attributes: a group of its own, and a SIGKILL when astern dies, so that no program of a crashed astern goes on
// while the next one asks whether its effect is there.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// supervise runs the command to its end and ends what it left behind. The kernel ties Pdeathsig to the thread that
// started the program, so that thread must live as long.
func supervise(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return runGroup(cmd)
}
