// Command up runs a control plane until Ctrl-C and prints how to speak to it, for looking at what a test sees:
//
//	go run ./tools/controlplane/up
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"astern.dev/astern/tools/controlplane"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := controlplane.Start(ctx, controlplane.Options{Log: os.Stderr})
	if err != nil {
		fmt.Fprintf(os.Stderr, "up: error: %v\n", err)
		os.Exit(1)
	}
	defer c.Close()
	fmt.Printf("export KUBECONFIG=%s\n", c.Kubeconfig)
	<-ctx.Done()
}
