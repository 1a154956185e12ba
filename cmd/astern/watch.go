package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/web"
)

// watchFlags say how an incident is followed.
type watchFlags struct {
	watch, all bool
	timeout    time.Duration
}

const (
	// patience is how many times in a row a server that cannot be reached is asked again, a second apart: it may restart.
	patience = 30
	// repaintEvery keeps the times on a terminal going.
	repaintEvery = time.Second
)

// watcher follows one incident to its end.
type watcher struct {
	*app
	client *apiClient
	id     string
	flags  watchFlags
	last   answer[web.IncidentAnswer]
	told   int // the version up to which it was shown
}

// watch follows an incident to its end: it repaints a terminal, and appends lines anywhere else. Nil means that the
// incident succeeded.
func (a *app) watch(ctx context.Context, c *apiClient, id string, f watchFlags) error {
	w := &watcher{app: a, client: c, id: id, flags: f}
	within := ctx
	if f.timeout > 0 {
		var stop context.CancelFunc
		within, stop = context.WithTimeout(ctx, f.timeout)
		defer stop()
	}
	err := w.follow(within)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fail(exitTimedOut, "it goes on without you; look again: astern incidents show "+id, "%s is still %s after %s", id, phaseWord(w.last.value.Incident.Phase), f.timeout)
	}
	return err
}

func phaseWord(p incident.Phase) string {
	if p == "" {
		return "unknown"
	}
	return strings.ReplaceAll(string(p), "_", " ")
}

// news is what one question to the server came to.
type news struct {
	got answer[web.IncidentAnswer]
	err error
}

func (w *watcher) follow(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	answers := make(chan news)
	go w.ask(ctx, answers)
	for {
		var tick <-chan time.Time
		if w.repaints() {
			tick = w.after(repaintEvery)
		}
		select {
		case n := <-answers:
			if n.err != nil {
				return n.err
			}
			w.last = n.got
			if err := w.tell(); err != nil || w.last.value.Incident.Phase.Final() {
				return errors.Join(err, w.outcome())
			}
		case <-tick:
			if err := w.paintFrame(); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (w *watcher) repaints() bool {
	return w.paints && (w.output == asTable || w.output == asWide)
}

// outcome is what the command's exit code says; the reason was printed already.
func (w *watcher) outcome() error {
	if w.last.value.Incident.Phase == incident.Succeeded {
		return nil
	}
	return answeredNo
}

// ask sends every new state of the incident until its end, and asks again while the server cannot be reached.
func (w *watcher) ask(ctx context.Context, answers chan<- news) {
	seen, failed := 0, 0
	for {
		got, err := get[web.IncidentAnswer](ctx, w.client, apiPath("incidents", w.id), url.Values{"wait": {strconv.Itoa(seen)}})
		var f *failure
		if failed++; errors.As(err, &f) && f.code == exitUnreachable && seen > 0 && failed < patience {
			select {
			case <-w.after(time.Second):
				continue
			case <-ctx.Done():
				return
			}
		}
		if err == nil {
			failed = 0
			if got.value.Incident.Version == seen {
				continue
			}
			seen = got.value.Incident.Version
		}
		select {
		case answers <- news{got, err}:
		case <-ctx.Done():
			return
		}
		if err != nil || got.value.Incident.Phase.Final() {
			return
		}
	}
}

// tell shows what is new in the form that was asked for.
func (w *watcher) tell() error {
	final := w.last.value.Incident.Phase.Final()
	switch {
	case w.output == asJSON:
		return w.write(append([]byte(strings.TrimSpace(string(w.last.raw))), '\n'))
	case w.output == asName && final:
		return w.write([]byte(visible(w.id) + "\n"))
	case w.output == asName:
		return nil
	case w.paints && final:
		return w.write([]byte(clearScreen + w.incident(w.last.value, w.flags.all)))
	case w.paints:
		return w.paintFrame()
	}
	return w.appendLines()
}

// appendLines prints the events that were not told yet.
func (w *watcher) appendLines() error {
	var page strings.Builder
	i := w.last.value.Incident
	if w.told == 0 {
		fmt.Fprintf(&page, "%s   %s (%s)\n", visible(i.ID), visible(i.Target), visible(i.Environment))
	}
	for _, e := range entriesOf(w.last.value, w.told) {
		if !e.system || w.flags.all {
			fmt.Fprintf(&page, "%s  %-8s  %s\n", stamp(e.at), e.word, visible(e.text))
		}
	}
	w.told = i.Version
	return w.write([]byte(page.String()))
}

const (
	clearScreen = "\x1b[2J\x1b[H"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// paintFrame shows the incident on the whole terminal, the newest lines of its history at the bottom.
func (w *watcher) paintFrame() error {
	if w.last.raw == nil {
		return nil
	}
	var now, history strings.Builder
	w.incidentNow(&now, w.last.value.Incident)
	w.timeline(&history, w.last.value, w.flags.all)
	width, height := w.size()
	lines := fit(splitLines(now.String()), splitLines(history.String()), height-1)
	start := home
	if w.told == 0 {
		start = clearScreen
	}
	w.told = w.last.value.Incident.Version
	var page strings.Builder
	page.WriteString(start)
	for _, line := range lines {
		page.WriteString(cut(line, width) + clearLine + "\n")
	}
	page.WriteString(clearBelow)
	return w.write([]byte(page.String()))
}

func splitLines(s string) []string { return strings.Split(strings.TrimRight(s, "\n"), "\n") }

// fit keeps the present whole as far as it goes, and of the history what is newest.
func fit(now, history []string, height int) []string {
	if len(now) >= height {
		return now[:max(height, 0)]
	}
	room := height - len(now)
	if len(history) > room {
		history = history[len(history)-room:]
	}
	return append(now, history...)
}

// cut makes a line fit the terminal; what is coloured ends uncoloured.
func cut(line string, width int) string {
	if text.StringWidthWithoutEscSequences(line) <= width {
		return line
	}
	return text.Trim(line, width-1) + text.EscapeReset + "…"
}
