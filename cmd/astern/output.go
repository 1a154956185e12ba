package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"astern.dev/astern/web"
)

// show prints an answer in the form that was asked for: the API's JSON as it is, names one a line, or as people read it.
func show[T any](a *app, got answer[T], names func(T) []string, people func(io.Writer, T)) error {
	var page bytes.Buffer
	switch a.output {
	case asJSON:
		page.Write(bytes.TrimRight(got.raw, "\n"))
		page.WriteByte('\n')
	case asName:
		for _, name := range names(got.value) {
			fmt.Fprintln(&page, visible(name))
		}
	default:
		people(&page, got.value)
	}
	return a.write(page.Bytes())
}

func (a *app) write(page []byte) error {
	if _, err := a.out.Write(page); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// said prints what became of a wish: one sentence for people, the name of what it was about for programs.
func said[T any](a *app, got answer[T], name, format string, args ...any) error {
	return show(a, got, func(T) []string { return []string{name} }, func(w io.Writer, _ T) { fmt.Fprintf(w, format+"\n", args...) })
}

// document is the answer of a command that asks no server, in the form of the API's.
func document[T any](kind string, fill func(web.Header) T) (answer[T], error) {
	value := fill(web.Header{APIVersion: web.APIVersion, Kind: kind})
	raw, err := json.Marshal(value)
	return answer[T]{raw, value}, err
}

func (a *app) wide() bool { return a.output == asWide }
