// Command astern is the binary: flags, one straight-line wiring function for the server, and one file for each
// subcommand. It may import every package of astern and is imported by none.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"
)

func main() { os.Exit(run(os.Args[1:], console())) }

// run is the whole program but the process: it gives the exit code.
func run(args []string, a *app) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	root := rootCommand(a)
	root.SetArgs(args)
	return a.report(ctx, root.ExecuteContext(ctx))
}

// console is the process's own surroundings: nothing else here reads the environment, the clock or the terminal.
func console() *app {
	a := &app{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, now: time.Now, after: time.After,
		asks:   term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd())),
		paints: term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("TERM") != "dumb",
		size:   func() (int, int) { return screenSize(os.Stdout) },
	}
	a.plain = !a.paints || os.Getenv("NO_COLOR") != ""
	a.server = envOr("ASTERN_SERVER", "http://127.0.0.1:9494")
	a.tokenFile = os.Getenv("ASTERN_TOKEN_FILE")
	if dir, err := os.UserCacheDir(); err == nil { // without one nothing is kept
		a.cache = filepath.Join(dir, "astern")
	}
	return a
}

func envOr(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func screenSize(f *os.File) (width, height int) {
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 || height < 5 {
		return 80, 24
	}
	return width, height
}
