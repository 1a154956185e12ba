package main

import (
	"net/http/httptest"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"astern.dev/astern/engine/simulate/prom"
)

// past FILE serves a Prometheus that recorded the series of a file, each line a series and its values every 15 s from
// 2026-11-01 on, and puts its address into $PROMETHEUS.
func past(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: past FILE")
	}
	p := prom.New(prom.Options{Start: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Interval: 15 * time.Second})
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		series, values, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if ok && !strings.HasPrefix(line, "#") {
			ts.Check(p.Load(series+"}", values))
		}
	}
	server := httptest.NewServer(p)
	ts.Defer(server.Close)
	ts.Setenv("PROMETHEUS", server.URL)
}
