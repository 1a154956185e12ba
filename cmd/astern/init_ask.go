package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"astern.dev/astern/engine/scaffold"
)

// chosen are the labels that choose targets: those that flags name, else those that a person at a terminal names, else
// those that most alerts carry.
func (a *app) chosen(ctx context.Context, found *scaffold.Found, f initFlags) (target, environment string, err error) {
	q := &questions{app: a, in: bufio.NewReader(a.in)}
	if target = f.target; target == "" {
		target, err = q.label(ctx, "Which label says what can be rolled back", found.TargetLabels(), found.SuggestTarget())
	}
	if err != nil || target == "" || target == scaffold.None {
		return "", "", err
	}
	if environment = f.environment; environment == "" {
		environment, err = q.label(ctx, "Which label says in which environment it runs", found.EnvironmentLabels(), found.SuggestEnvironment(target))
	}
	if environment == scaffold.None || environment == target {
		environment = ""
	}
	return target, environment, err
}

// questions are put to a person at a terminal, with an answer already in place.
type questions struct {
	app *app
	in  *bufio.Reader
}

// label asks for one label. Without a terminal, and where there is nothing to choose, it is the suggested one.
func (q *questions) label(ctx context.Context, what string, among []scaffold.Carried, suggested string) (string, error) {
	if !q.app.asks || len(among) == 0 {
		return suggested, nil
	}
	var all []string
	for _, c := range among {
		all = append(all, fmt.Sprintf("%s (on %s)", visible(c.Label), count(c.Alerts, "alert")))
	}
	standing := suggested
	if standing == "" {
		standing = scaffold.None
	}
	fmt.Fprintf(q.app.err, "%s? %s, or %s [%s] ", what, strings.Join(all, ", "), scaffold.None, visible(standing))
	typed, err := q.line(ctx)
	if err != nil || typed == "" {
		return suggested, err
	}
	return typed, nil
}

// line reads one line, unless a signal comes first. An ended input takes what is suggested.
func (q *questions) line(ctx context.Context) (string, error) {
	typed := make(chan string, 1)
	go func() {
		line, _ := q.in.ReadString('\n')
		typed <- strings.TrimSpace(line)
	}()
	select {
	case line := <-typed:
		return line, nil
	case <-ctx.Done():
		fmt.Fprintln(q.app.err)
		return "", ctx.Err()
	}
}
