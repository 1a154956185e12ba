// Package process runs a program so that all of it can be ended: what it started, too.
package process

import (
	"os/exec"
	"syscall"
	"time"
)

// Run runs the command, made with a context, in a process group of its own and ends what it left behind. When the context
// ends, the group is asked to end and has the grace to do so.
func Run(cmd *exec.Cmd, grace time.Duration) error {
	cmd.SysProcAttr = attributes()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	return supervise(cmd)
}

// runGroup waits for the command, then ends the rest of its group.
func runGroup(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	defer syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	return cmd.Wait()
}
