//go:build e2e

package main_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/examples/demo/rig"
	"astern.dev/astern/web"
)

// The main job, and what comes after it in the life of one process: repeats, reloads and its end.
func rollsBackReloadsAndStops(w *world) {
	w.begin()
	w.heard()
	w.Green.Fail(0.25)
	id := w.opened()
	w.succeeded(id)
	w.weights("100", "0")
	repeatsStartNothing(w, id)
	reloadKeepsTheLastGoodOne(w)
	secondProcessIsRefused(w)
	stopsGracefully(w)
}

// repeatsStartNothing: after `resolved`, the same episode is told again and again, as a peer that comes late would.
func repeatsStartNothing(w *world, id string) {
	now := w.sees(id, "told that its alert ended", func(i incident.Incident) bool {
		return !slices.ContainsFunc(episodes(i), (*incident.Episode).Open)
	}).Incident
	w.repeatOften()
	alert := now.Rules[0].Sample
	before := w.deliveries(w.ctx, id)
	w.until("three more deliveries of the old episode", func(ctx context.Context) (bool, error) {
		err := w.Alertmanager.Post(ctx, alert.Labels, alert.StartsAt, time.Time{}) // again and again: Prometheus says that it ended
		return len(w.deliveries(ctx, id)) >= len(before)+3, err
	})
	w.onlyOne(id)
	w.weights("100", "0")
	w.onlyFrom("blue", 0)
}

// repeatOften makes Alertmanager tell what fires every few seconds instead of every hour.
func (w *world) repeatOften() {
	for range 2 { // for people and for astern
		w.rewrite("alertmanager.yml", "repeat_interval: 1h", "repeat_interval: 4s")
	}
	require.NoError(w.t, w.Alertmanager.Reload(w.ctx))
}

func episodes(i incident.Incident) (all []*incident.Episode) {
	for _, ep := range i.Episodes {
		all = append(all, ep)
	}
	return all
}

// deliveries are the lines of the ledger about firing alerts of an incident.
func (w *world) deliveries(ctx context.Context, id string) []incident.Delivery {
	var ledger web.List[incident.Delivery]
	require.NoError(w.t, w.Astern.Get(ctx, "/api/v1/deliveries", &ledger))
	return slices.DeleteFunc(ledger.Items, func(d incident.Delivery) bool {
		return !slices.ContainsFunc(d.Decisions, func(c incident.Decision) bool { return c.Status == "firing" && c.Incident == id })
	})
}

const reloaded = "astern_config_last_reload_successful"

func reloadKeepsTheLastGoodOne(w *world) {
	w.rewrite("rules.yaml", "mode: auto", "mode: automatic")
	w.hangUp("0")
	status, ready, err := w.ask(w.ctx, "/-/ready")
	require.NoError(w.t, err)
	require.Equal(w.t, http.StatusOK, status, "the last good configuration takes alerts in")
	require.Contains(w.t, ready, "automatic")
	require.Regexp(w.t, `rules\.yaml:\d+:\d+`, ready)
	log, err := os.ReadFile(w.Astern.Log)
	require.NoError(w.t, err)
	require.Regexp(w.t, `not reloaded.*rules\.yaml:\d+:\d+`, string(log))
	require.Equal(w.t, incident.Auto, w.rule().Mode)

	w.rewrite("rules.yaml", "mode: automatic", "mode: suggest")
	w.hangUp("1")
	require.Equal(w.t, incident.Suggest, w.rule().Mode)
	_, ready, err = w.ask(w.ctx, "/-/ready")
	require.NoError(w.t, err)
	require.NotContains(w.t, ready, "reload")
}

// hangUp sends SIGHUP and waits until the metric tells how the reload went.
func (w *world) hangUp(want string) {
	w.t.Helper()
	require.NoError(w.t, w.Astern.Signal(syscall.SIGHUP))
	w.until("a reload that came to "+want, func(ctx context.Context) (bool, error) {
		_, text, err := w.ask(ctx, "/metrics")
		return strings.Contains(text, "\n"+reloaded+" "+want+"\n"), err
	})
}

func (w *world) rule() struct{ Mode incident.Mode } {
	var list web.List[struct{ Mode incident.Mode }]
	require.NoError(w.t, w.Astern.Get(w.ctx, "/api/v1/rules", &list))
	require.Len(w.t, list.Items, 1)
	return list.Items[0]
}

func secondProcessIsRefused(w *world) {
	second, err := rig.Start(rig.Command{Name: "second", Path: w.binary, Dir: w.Dir, Args: []string{
		"serve", "--config.file=" + filepath.Join(w.Dir, "astern.yaml"), "--storage.url=sqlite:" + filepath.Join(w.Dir, "astern.db"),
		"--web.listen-address=127.0.0.1:0",
	}})
	require.NoError(w.t, err)
	defer second.Stop()
	said := w.ends(second)
	require.ErrorContains(w.t, said, "exit status 1")
	require.ErrorContains(w.t, said, "astern: error:")
	require.ErrorContains(w.t, said, "astern.db")
	require.ErrorContains(w.t, said, "another")
	require.NoError(w.t, w.Astern.Ended())
}

// stopsGracefully: what was half way in when SIGTERM came is answered 503, so that Alertmanager comes again, and the exit code is 0.
func stopsGracefully(w *world) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(w.ctx, "tcp", w.Astern.Host)
	require.NoError(w.t, err)
	defer conn.Close()
	token, err := os.ReadFile(w.Addresses.SenderTokenFile)
	require.NoError(w.t, err)
	body := notification("Late", target)
	half := len(body) / 2
	_, err = fmt.Fprintf(conn, "POST /api/v1/alertmanager HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		w.Astern.Host, token, len(body), body[:half])
	require.NoError(w.t, err)
	w.until("an answer on another connection", func(ctx context.Context) (bool, error) { // by then the first one is being read
		status, _, err := w.ask(ctx, "/-/healthy")
		return status == http.StatusOK, err
	})
	require.NoError(w.t, w.Astern.Signal(syscall.SIGTERM))
	w.until("astern to say that it stops", func(context.Context) (bool, error) {
		return strings.Contains(w.Astern.Tail(), "stopping"), nil
	})
	_, err = conn.Write([]byte(body[half:]))
	require.NoError(w.t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(w.t, err)
	require.NoError(w.t, response.Body.Close())
	require.Equal(w.t, http.StatusServiceUnavailable, response.StatusCode)
	require.ErrorContains(w.t, w.ends(w.Astern.Process), "(exit code 0)")
}

// notification is one of Alertmanager's with one alert.
func notification(name, service string) string {
	return fmt.Sprintf(`{"version":"4","status":"firing","receiver":"astern","groupKey":"{}","alerts":[{"status":"firing",`+
		`"labels":{"alertname":%q,"service":%q},"annotations":{},"startsAt":"2026-01-05T10:00:00Z","endsAt":"0001-01-01T00:00:00Z"}]}`, name, service)
}
