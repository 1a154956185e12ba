// Command tally runs `go test -json` with the arguments it is given, prints what a person needs of it (each package on
// one line, and the output of what failed), and adds "passed failed" to the file that the variable TALLY names.
// A test that was skipped counts as failed: nothing here may be skipped for want of a neighbour.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func main() {
	code, err := run()
	if err != nil {
		fmt.Fprintf(os.Stderr, "tally: error: %v\n", err)
		code = 1
	}
	os.Exit(code)
}

func run() (int, error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, os.Args[1:]...)...)
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return 1, err
	}
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	sum, readErr := read(events, os.Stdout)
	waitErr := cmd.Wait()
	var exit *exec.ExitError
	if waitErr != nil && !errors.As(waitErr, &exit) {
		return 1, waitErr
	}
	if waitErr != nil && sum.failed == 0 {
		sum.failed = 1 // it did not build, or its process died between tests
	}
	fmt.Printf("%d passed, %d failed\n", sum.passed, sum.failed)
	if err := errors.Join(readErr, keep(os.Getenv("TALLY"), sum)); err != nil {
		return 1, err
	}
	return sum.exitCode(), nil
}

func keep(path string, sum sums) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%d %d\n", sum.passed, sum.failed)
	return errors.Join(err, f.Close())
}
