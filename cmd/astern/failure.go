package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"astern.dev/astern/rules/expr"
)

// The exit codes of every command.
const (
	exitDone        = 0
	exitNo          = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitNotAllowed  = 4
	exitTimedOut    = 5
	exitConflict    = 6
	// exitInterrupted is what shells report for a process that Ctrl-C ended.
	exitInterrupted = 130
)

const exitCodeHelp = `Exit codes: 0 done; 1 the answer is no (refused, failed, mistakes found); 2 bad usage or an unreadable file;
3 the server cannot be reached; 4 not allowed; 5 timed out while waiting; 6 conflict: the plan changed, expired or was decided.`

// failure is why a command did not do what was asked: its exit code, what went wrong, and what to do next.
type failure struct {
	code          int
	message, hint string
}

func (f *failure) Error() string { return f.message }

func fail(code int, hint, format string, args ...any) error {
	return &failure{code, fmt.Sprintf(format, args...), hint}
}

// usage is a mistake on the command line or a file that cannot be read.
func usage(format string, args ...any) error { return usageHint("", format, args...) }

func usageHint(hint, format string, args ...any) error {
	return fail(exitUsage, hint, format, args...)
}

// answeredNo ends with exit code 1 and no message: the output has said it already.
var answeredNo error = &failure{code: exitNo}

// report prints the error as people read it and gives the exit code.
func (a *app) report(ctx context.Context, err error) int {
	var f *failure
	var mistakes expr.Diagnostics
	switch {
	case err == nil:
		return exitDone
	case ctx.Err() != nil && cutShort(err):
		a.complain("interrupted", "")
		return exitInterrupted
	case errors.As(err, &mistakes):
		fmt.Fprintf(a.err, "%s\n\n", a.diagnostics(mistakes))
		f = &failure{exitUsage, "the configuration has " + count(mistakes.Errors(), "mistake") + "; nothing was started", "`astern check` shows them without a server"}
	case !errors.As(err, &f):
		f = &failure{exitNo, err.Error(), ""}
	}
	a.complain(f.message, f.hint)
	return f.code
}

// cutShort says whether an error is what a signal leaves behind: a question that was ended looks like one without an answer.
func cutShort(err error) bool {
	var f *failure
	return errors.Is(err, context.Canceled) || errors.As(err, &f) && f.code == exitUnreachable
}

func (a *app) complain(message, hint string) {
	for i, line := range strings.Split(message, "\n") {
		switch {
		case line == "":
		case i == 0:
			fmt.Fprintf(a.err, "astern: error: %s\n", visible(line))
		default:
			fmt.Fprintf(a.err, "  %s\n", visible(line))
		}
	}
	if hint != "" {
		fmt.Fprintf(a.err, "astern: hint: %s\n", visible(hint))
	}
}

// note says something beside the data: on stderr, so that pipes stay clean.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.err, format+"\n", args...)
}
