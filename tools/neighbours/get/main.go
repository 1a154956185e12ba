// Command get prints the path of each neighbour it is asked for, after finding or making it:
//
//	go run ./tools/neighbours/get prometheus alertmanager haproxy
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"astern.dev/astern/tools/neighbours"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) < 2 {
		fmt.Fprintf(os.Stderr, "usage: get NAME...\nnames: %s\n", strings.Join(neighbours.Names(), ", "))
		os.Exit(2)
	}
	for _, name := range os.Args[1:] {
		found, err := neighbours.Find(ctx, name, os.Stderr)
		if err != nil {
			fmt.Fprintf(os.Stderr, "get: error: %v\n", err)
			os.Exit(1)
		}
		fmt.Fprintf(os.Stderr, "%s: %s from %s\n", found.Name, found.Version, found.From)
		fmt.Println(found.Path)
	}
}
