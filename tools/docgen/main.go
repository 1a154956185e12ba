// Command docgen writes docs/actions.md and what `astern actions` shows: every action, channel and kind of connection, from
// the registry, the doc comments of their structs and their examples. The same sources give the same bytes. It is a tool;
// the product imports it nowhere.
package main

//go:generate go run . ../../docs/actions.md ../../cmd/astern/actions.json

import (
	"errors"
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
	if len(args) != 2 {
		return fmt.Errorf("say which files to write: docs/actions.md and cmd/astern/actions.json")
	}
	text, data, err := generate()
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(args[0], text, 0o644), os.WriteFile(args[1], data, 0o644))
}

// generate gives the page for people and the data for the binary.
func generate() (text, data []byte, err error) {
	registry, err := all.Registry()
	if err != nil {
		return nil, nil, err
	}
	root, err := moduleRoot()
	if err != nil {
		return nil, nil, err
	}
	page := &page{comments: comments{root: root}}
	page.write(registry)
	data = page.data(registry)
	return page.text.Bytes(), data, page.err()
}
