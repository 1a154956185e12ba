package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
)

// event is one line of `go test -json`.
type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

// sums counts tests and subtests.
type sums struct{ passed, failed int }

func (s sums) exitCode() int {
	if s.failed > 0 || s.passed == 0 {
		return 1
	}
	return 0
}

type reader struct {
	to   io.Writer
	sum  sums
	said map[string][]string // output by package and test
	ran  map[string]int      // tests by package
}

func read(events io.Reader, to io.Writer) (sums, error) {
	r := reader{to: to, said: map[string][]string{}, ran: map[string]int{}}
	lines := bufio.NewScanner(events)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(to, lines.Text())
			continue
		}
		r.take(e)
	}
	return r.sum, lines.Err()
}

func (r *reader) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		r.said[key] = append(r.said[key], e.Output)
	case "build-output":
		fmt.Fprint(r.to, e.Output)
	case "pass", "fail", "skip":
		r.end(e, key)
	}
}

func (r *reader) end(e event, key string) {
	switch {
	case e.Test == "":
		r.endPackage(e, key)
	case e.Action == "pass":
		r.sum.passed++
		r.ran[e.Package]++
	default:
		r.sum.failed++
		r.ran[e.Package]++
		fmt.Fprintf(r.to, "--- %s: %s %s\n", word[e.Action], e.Package, e.Test)
		r.print(key)
	}
	delete(r.said, key)
}

var word = map[string]string{"fail": "FAIL", "skip": "FAIL (skipped: nothing may be)"}

// endPackage prints a package's line. A package that failed without a failed test did not build, or died.
func (r *reader) endPackage(e event, key string) {
	switch {
	case e.Action == "fail":
		fmt.Fprintf(r.to, "FAIL %-60s %6.1fs\n", e.Package, e.Elapsed)
		r.print(key)
	case r.ran[e.Package] > 0:
		fmt.Fprintf(r.to, "ok   %-60s %6.1fs %5d tests\n", e.Package, e.Elapsed, r.ran[e.Package])
	}
}

func (r *reader) print(key string) {
	for _, line := range r.said[key] {
		fmt.Fprint(r.to, line)
	}
}
