package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

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

// What docs/backtest.md shows is what the script's command says.
func TestTheReportInTheDocumentation(t *testing.T) {
	script, err := txtar.ParseFile(filepath.Join("testdata", "backtest.txtar"))
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "backtest.md"))
	require.NoError(t, err)
	at := slices.IndexFunc(script.Files, func(f txtar.File) bool { return f.Name == "report" })
	require.Contains(t, string(text), " config\n"+string(script.Files[at].Data)+"```\n")
}
