//go:build failpoint

package main

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// passed counts how often the failpoint was passed.
var passed atomic.Int64

// failpoint ends the process at the boundary that ASTERN_FAILPOINT names, as "POINT:KILL|PANIC:N" for its n-th passing.
// It exists for crash tests alone.
func failpoint(point string) {
	name, rest, _ := strings.Cut(os.Getenv("ASTERN_FAILPOINT"), ":")
	how, count, _ := strings.Cut(rest, ":")
	if name != point {
		return
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil || passed.Add(1) != n {
		return
	}
	if how == "panic" {
		panic("failpoint " + point)
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
