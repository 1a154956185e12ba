//go:build unix && !linux

package repository

import (
	"os/exec"
	"syscall"
)

func processAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func supervise(cmd *exec.Cmd) error { return runGroup(cmd) }
