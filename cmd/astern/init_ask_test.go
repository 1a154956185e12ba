package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// At a terminal two questions are asked, each with an answer in place; a flag answers one of them, and without a terminal
// nothing is asked.
func TestInitAsksAtMostTwoQuestions(t *testing.T) {
	a, err := txtar.ParseFile(filepath.Join("..", "..", "engine", "scaffold", "testdata", "shop.txtar"))
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, f := range a.Files {
			if f.Name == strings.TrimSpace("prometheus "+r.URL.Path+" "+r.FormValue("query")+r.FormValue("match[]")) {
				_, _ = w.Write(f.Data)
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(server.Close)
	const first = "Which label says what can be rolled back? app (on 9 alerts), job (on 4 alerts), or none [app] "
	const second = "Which label says in which environment it runs? env (on 11 alerts), or none [env] "
	for _, c := range []struct {
		typed, asked, labels string
		flags                []string
		terminal             bool
	}{
		{typed: "\n\n", asked: first + second, labels: "app, env, namespace", terminal: true},
		{typed: "", asked: first + second, labels: "app, env, namespace", terminal: true},
		{typed: "app\nnone\n", asked: first + second, labels: "app, namespace", terminal: true},
		{typed: "none\n", asked: first, labels: "-", terminal: true},
		{typed: "none\n", asked: second, labels: "app, namespace", terminal: true, flags: []string{"--target-label=app"}},
		{asked: "", labels: "app, namespace", terminal: true, flags: []string{"--target-label=app", "--environment-label=none"}},
		{typed: "none\nnone\n", asked: "", labels: "app, env, namespace"},
	} {
		asking := func(a *app) { a.asks, a.in = c.terminal, strings.NewReader(c.typed) }
		code, out, said := inProcess(asking, append([]string{"init", "--prometheus", server.URL, t.TempDir()}, c.flags...)...)
		require.Zero(t, code, said)
		require.Equal(t, c.asked, said)
		require.Contains(t, out, "chosen by "+c.labels+"\n")
	}
}
