// Command demo shows astern's main job with real neighbours: a web service runs in two versions behind HAProxy, the new one
// starts to fail, Prometheus sees it, Alertmanager tells astern, and astern puts the traffic back and proves that it helped.
//
//	make demo          ends by itself; exit code 0 only if all of that happened
//	make demo-keep     leaves everything running until Ctrl-C
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type options struct {
	keep, proxy bool
	astern      string
}

func main() {
	var o options
	flag.BoolVar(&o.keep, "keep", false, "leave everything running at the end, until Ctrl-C")
	flag.BoolVar(&o.proxy, "own-proxy", false, "use the example's own proxy in place of HAProxy")
	flag.StringVar(&o.astern, "astern", "", "the astern binary to show; built from this checkout when empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	screen := newScreen(os.Stdout, time.Now)
	err := show(ctx, screen, o)
	screen.close()
	switch {
	case err == nil:
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "demo: interrupted; everything was taken down")
		os.Exit(130)
	default:
		fmt.Fprintf(os.Stderr, "demo: error: %v\n", err)
		os.Exit(1)
	}
}
