package repository

import (
	"os/exec"
	"syscall"
)

// runGroup waits for the command, then ends the rest of its group.
func runGroup(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	defer syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	return cmd.Wait()
}
