// Command docgen writes docs/actions.md: every action, channel and kind of connection, from the registry, the doc comments
// of their structs and their examples. The same sources give the same bytes. It is a tool; the product imports it nowhere.
package main

//go:generate go run . ../../docs/actions.md

import (
	"fmt"
	"os"

	"astern.dev/astern/actions/all"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "docgen: error: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("say which file to write, such as docs/actions.md")
	}
	text, err := generate()
	if err != nil {
		return err
	}
	return os.WriteFile(args[0], text, 0o644)
}

func generate() ([]byte, error) {
	registry, err := all.Registry()
	if err != nil {
		return nil, err
	}
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	page := &page{comments: comments{root: root}}
	page.write(registry)
	return page.text.Bytes(), page.err()
}
