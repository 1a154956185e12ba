package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/tools/txtar"
)

// recorded NAME starts a Prometheus and an Alertmanager that answer as real ones did (engine/scaffold/testdata), and
// puts their addresses into PROMETHEUS and ALERTMANAGER.
func recorded(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: recorded NAME")
	}
	for _, who := range []string{"prometheus", "alertmanager"} {
		server := httptest.NewServer(answersOf(ts, args[0], who))
		ts.Defer(server.Close)
		ts.Setenv(strings.ToUpper(who), server.URL)
	}
}

func answersOf(ts *testscript.TestScript, name, who string) http.HandlerFunc {
	a, err := txtar.ParseFile(filepath.Join("..", "..", "engine", "scaffold", "testdata", name+".txtar"))
	ts.Check(err)
	return func(w http.ResponseWriter, r *http.Request) {
		question := strings.TrimSpace(who + " " + r.URL.Path + " " + r.FormValue("query") + r.FormValue("match[]"))
		for _, f := range a.Files {
			if f.Name == question {
				_, _ = w.Write(f.Data)
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
	}
}

// guarded TOKEN starts such a Prometheus that answers only who shows the token, and puts its address into GUARDED.
func guarded(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: guarded TOKEN")
	}
	answer := answersOf(ts, "honeylink", "prometheus")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+args[0] {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		answer(w, r)
	}))
	ts.Defer(server.Close)
	ts.Setenv("GUARDED", server.URL)
}
