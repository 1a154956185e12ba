// Command bench measures astern as a whole, on this machine and its disk, and prints a line for each figure:
// "ratio NAME VALUE" where both sides were measured in this same run, "figure NAME VALUE UNIT" else.
// It stands above everything, as cmd/astern does; nothing imports it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if slices.Equal(os.Args[1:], []string{floorArgument}) {
		if err := serveFloor(ctx); err != nil {
			os.Exit(1)
		}
		return
	}
	if err := run(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "bench: error: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "astern-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, m := range measures {
		if only := os.Args[1:]; len(only) > 0 && !slices.Contains(only, m.name) {
			continue
		}
		if err := m.run(ctx, dir); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// measures are all there are, in order; arguments choose some by their names.
var measures = []struct {
	name string
	run  func(ctx context.Context, dir string) error
}{
	{"fsync", measureFsync}, {"match", measureMatch}, {"decode", measureDecode}, {"path", measurePath},
	{"accept", measureAccept}, {"step", measureFirstStep}, {"restart", measureRestart},
}

func ratio(name string, value float64) { fmt.Printf("ratio %s %.2f\n", name, value) }
func figure(name string, value float64, unit string) {
	fmt.Printf("figure %s %.3f %s\n", name, value, unit)
}

// spread prints the middle and the slow end of many times.
func spread(name string, times []time.Duration) {
	slices.Sort(times)
	for _, p := range []int{50, 99} {
		figure(fmt.Sprintf("%s-p%d", name, p), times[(len(times)-1)*p/100].Seconds()*1000, "ms")
	}
}

// measureFsync says what a durable write costs here at all: the figures after it mean nothing without it.
func measureFsync(_ context.Context, dir string) error {
	f, err := os.CreateTemp(dir, "fsync")
	if err != nil {
		return err
	}
	defer f.Close()
	var times []time.Duration
	for range 200 {
		begun := time.Now()
		if _, err := f.Write(make([]byte, 4096)); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		times = append(times, time.Since(begun))
	}
	spread("fsync", times)
	return nil
}
