//go:build e2e

package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/slack/slacktest"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/examples/demo/rig"
	"astern.dev/astern/web"
)

const (
	target    = "honeylink-api"
	perSecond = 40
	longest   = 4 * time.Minute // of one scenario; it ends when what it waits for has happened
)

// world is the rig of one scenario with its questions. It fails the test when an answer does not come.
type world struct {
	*rig.Rig
	t        *testing.T
	ctx      context.Context
	programs rig.Programs
	binary   string
	edits    []edit
}

// edit replaces text of one of astern's files; old must be there. An empty old replaces all of it.
type edit struct{ file, old, new string }

func newWorld(t *testing.T, p rig.Programs, binary string) *world {
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	t.Cleanup(cancel)
	r, err := rig.Up(ctx, p, perSecond)
	require.NoError(t, err)
	w := &world{Rig: r, t: t, ctx: ctx, programs: p, binary: binary, edits: []edit{
		{"rules.yaml", "for: 8s", "for: 3s"}, {"targets.yaml", "for: 6s", "for: 3s"},
	}}
	t.Cleanup(w.down)
	r.Edit = w.edited
	return w
}

// down shows astern's last words when the scenario failed, and takes all down.
func (w *world) down() {
	if w.t.Failed() && w.Astern != nil {
		w.t.Log("astern said last:\n" + w.Astern.Tail())
	}
	w.Close()
}

func (w *world) edited(name, text string) string {
	for _, e := range w.edits {
		switch {
		case e.file != name:
		case e.old == "":
			text = e.new
		default:
			require.Contains(w.t, text, e.old, "%s has changed: what this scenario edits is gone", name)
			text = strings.Replace(text, e.old, e.new, 1)
		}
	}
	return text
}

// rewrite edits a file that is in force; whoever reads it must be told.
func (w *world) rewrite(name, old, new string) {
	path := filepath.Join(w.Dir, name)
	text, err := os.ReadFile(path)
	require.NoError(w.t, err)
	require.Contains(w.t, string(text), old)
	require.NoError(w.t, os.WriteFile(path, []byte(strings.Replace(string(text), old, new, 1)), 0o600))
}

// begin starts astern with these edits, arms it, tells the releases and waits for a healthy minute's evidence: no errors
// in Prometheus, and traffic on green alone.
func (w *world) begin(edits ...edit) {
	w.edits = append(w.edits, edits...)
	require.NoError(w.t, w.StartAstern(w.ctx, w.binary))
	w.run("release", "record", target, "--version=v41", "--at=-2d", "--verdict=good", "--var=track=blue")
	w.run("release", "record", target, "--version=v42", "--at=-20m", "--var=track=green")
	w.run("arm", "--reason=the test may act")
	w.until("a healthy baseline", func(ctx context.Context) (bool, error) {
		ratio, err := w.Prometheus.Value(ctx, `demo:error_ratio:rate5s{service="`+target+`"}`)
		return ratio == 0 && w.Load.Total().Answered > perSecond, err
	})
	w.onlyFrom("green", 0)
}

// keepFiring lets the alert survive seconds in which a busy machine measures nothing: this scenario lasts long.
func (w *world) keepFiring() {
	w.rewrite("prometheus-rules.yaml", "        for: 1s\n        labels: {severity: critical", "        for: 1s\n        keep_firing_for: 30s\n        labels: {severity: critical")
	require.NoError(w.t, w.Prometheus.Reload(w.ctx))
}

// heard waits until the Watchdog has come all the way.
func (w *world) heard() {
	w.until("the Watchdog", func(ctx context.Context) (bool, error) {
		var now web.StatusAnswer
		err := w.Astern.Get(ctx, "/api/v1/status", &now)
		return len(now.Status.Watchdogs) > 0, err
	})
}

// until waits for something to be so.
func (w *world) until(what string, probe func(ctx context.Context) (bool, error)) {
	w.t.Helper()
	require.NoError(w.t, rig.Await(w.ctx, what, probe))
}

// run runs a client command that must succeed.
func (w *world) run(args ...string) string {
	w.t.Helper()
	out, err := w.Astern.Run(w.ctx, args...)
	require.NoError(w.t, err)
	return out
}

// refuses runs a client command that must end with exactly this exit code, and gives what it said.
func (w *world) refuses(code int, args ...string) string {
	w.t.Helper()
	_, err := w.Astern.Run(w.ctx, args...)
	var exit *exec.ExitError
	require.ErrorAs(w.t, err, &exit)
	require.Equal(w.t, code, exit.ExitCode(), err)
	return err.Error()
}

// incidents are all there are, the newest first.
func (w *world) incidents(ctx context.Context) ([]incident.Head, error) {
	var list web.List[incident.Head]
	err := w.Astern.Get(ctx, "/api/v1/incidents", &list)
	return list.Items, err
}

// opened waits for the first incident and gives its id.
func (w *world) opened() (id string) {
	w.t.Helper()
	w.until("an incident", func(ctx context.Context) (bool, error) {
		list, err := w.incidents(ctx)
		if len(list) > 0 {
			id = list[0].ID
		}
		return len(list) > 0, err
	})
	return id
}

// onlyOne shows that there is this incident and no other.
func (w *world) onlyOne(id string) {
	w.t.Helper()
	list, err := w.incidents(w.ctx)
	require.NoError(w.t, err)
	require.Len(w.t, list, 1)
	require.Equal(w.t, id, list[0].ID)
}

// sees waits until the incident is so. An incident that ended otherwise will not be.
func (w *world) sees(id, what string, is func(i incident.Incident) bool) (now web.IncidentAnswer) {
	w.t.Helper()
	err := rig.Await(w.ctx, id+" to be "+what, func(ctx context.Context) (bool, error) {
		var got web.IncidentAnswer
		if err := w.Astern.Get(ctx, "/api/v1/incidents/"+id, &got); err != nil {
			return false, err
		}
		now = got
		if is(now.Incident) {
			return true, nil
		}
		if now.Incident.Phase.Final() {
			return false, fmt.Errorf("%w: %s is %s: %s", rig.ErrEnded, id, now.Incident.Phase, now.Incident.Reason)
		}
		return false, nil
	})
	require.NoError(w.t, err, "%s is %s: %s", id, now.Incident.Phase, now.Incident.Reason)
	return now
}

func (w *world) inPhase(id string, phase incident.Phase) web.IncidentAnswer {
	w.t.Helper()
	return w.sees(id, string(phase), func(i incident.Incident) bool { return i.Phase == phase })
}

// held waits until the incident is held for a reason with these words, and people were told so.
func (w *world) held(id, why string) incident.Incident {
	w.t.Helper()
	now := w.sees(id, "held: "+why, func(i incident.Incident) bool {
		return i.Phase == incident.Held && strings.Contains(i.Reason, why)
	})
	w.told(why)
	return now.Incident
}

// stepNumber finds a step in the plan by its name.
func stepNumber(i incident.Incident, name string) int {
	if i.Plan == nil {
		return -1
	}
	return slices.IndexFunc(i.Plan.Steps, func(s incident.Step) bool { return s.Name == name })
}

func stepOf(i incident.Incident, name string) incident.StepRun {
	n := stepNumber(i, name)
	if n < 0 || n >= len(i.Steps) {
		return incident.StepRun{}
	}
	return i.Steps[n]
}

// inStep waits until a step is under way.
func (w *world) inStep(id, name string) incident.Incident {
	w.t.Helper()
	return w.sees(id, "in step "+name, func(i incident.Incident) bool { return stepOf(i, name).State == incident.Started }).Incident
}

// count is how many facts of a type the history has for a step.
func count(now web.IncidentAnswer, kind string, step int) (n int) {
	for _, e := range now.Events {
		if e.Type == kind && strings.Contains(string(e.Fact), fmt.Sprintf(`"step":%d,`, step)) {
			n++
		}
	}
	return n
}

// succeeded waits for the good end and holds the world, not astern's word, against it.
func (w *world) succeeded(id string) web.IncidentAnswer {
	w.t.Helper()
	now := w.inPhase(id, incident.Succeeded)
	drained := stepOf(now.Incident, "drain").EndedAt
	require.False(w.t, drained.IsZero())
	w.onlyFrom("blue", 0)
	_, last := w.Green.Arrivals()
	require.False(w.t, last.After(drained), "a request reached green %s after the drain", last.Sub(drained))
	require.Empty(w.t, w.Load.Lost(), "requests that no version answered")
	w.told(strings.TrimRight(now.Incident.Reason, "."))
	require.Len(w.t, w.Slack.Posted(slacktest.Incident), 1, "one message, brought up to date")
	return now
}

// onlyFrom counts a second of traffic that begins now: all of it is answered by this version, with failed failures at most.
func (w *world) onlyFrom(track string, failed int) {
	w.t.Helper()
	before := w.Load.Total()
	var after rig.Count
	w.until("a second of traffic", func(context.Context) (bool, error) {
		after = w.Load.Total()
		return after.Answered >= before.Answered+perSecond, nil
	})
	require.Equal(w.t, after.Answered-before.Answered, after.ByTrack[track]-before.ByTrack[track], "all from %s: %v, then %v", track, before, after)
	require.LessOrEqual(w.t, after.Failed-before.Failed, failed)
}

// untouched shows that nothing was done: HAProxy as it began, and all traffic on green, however much of it fails.
func (w *world) untouched() {
	w.t.Helper()
	w.weights("0", "100")
	w.onlyFrom("green", 10*perSecond)
}

func (w *world) weights(blue, green string) {
	w.t.Helper()
	for server, want := range map[string]string{"blue": blue, "green": green} {
		answer, err := w.HAProxy.Say(w.ctx, "get weight web/"+server)
		require.NoError(w.t, err)
		require.Equal(w.t, want, strings.Fields(answer)[0], "weight of %s", server)
	}
}

// told waits until people have read these words, in the message or in its thread.
func (w *world) told(words string) {
	w.t.Helper()
	for {
		changed := w.Slack.Changed()
		var all []string
		for _, m := range w.Slack.Posted(slacktest.Incident) {
			all = append(all, m.Text+string(m.Blocks))
			for _, reply := range w.Slack.Thread(slacktest.Incident, m.TS) {
				all = append(all, reply.Text+string(reply.Blocks))
			}
		}
		if slices.ContainsFunc(all, func(text string) bool { return strings.Contains(text, words) }) {
			return
		}
		select {
		case <-changed:
		case <-w.ctx.Done():
			require.Failf(w.t, "people were not told", "%q is in none of:\n%s", words, strings.Join(all, "\n"))
		}
	}
}

// ask reads a public page.
func (w *world) ask(ctx context.Context, path string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Astern.URL+path, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// ends waits until a program has ended, and gives how and what it said last.
func (w *world) ends(p *rig.Process) error {
	w.t.Helper()
	select {
	case <-p.Done():
	case <-w.ctx.Done():
		require.Fail(w.t, p.Name+" does not end", p.Tail())
	}
	err := p.Ended()
	require.True(w.t, errors.Is(err, rig.ErrEnded))
	return err
}
