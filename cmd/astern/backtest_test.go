package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine/simulate/backtest"
)

// Reading shows on a terminal how far it is, and leaves nothing behind; a pipe shows nothing.
func TestReadingShowsHowFarItIs(t *testing.T) {
	screen := &bytes.Buffer{}
	a, _ := testApp(func(a *app) { a.paints, a.err = true, screen })
	r := a.reading()
	r.at("alerts", 1, 352)
	require.Equal(t, "\rreading alerts: 1 of 352 parts", screen.String())
	r.at(backtest.Replaying, 1, 2)
	r.clear()
	require.Regexp(t, `\rletting it happen once more: 1 of 2 alerts\r +\r$`, screen.String())
	screen.Reset()
	r.clear()
	a.paints = false
	r = a.reading()
	r.at("alerts", 1, 352)
	r.clear()
	require.Empty(t, screen.String())
}

// What could not be read says what to do: try again, give credentials, or mend a query.
func TestAPastThatCannotBeRead(t *testing.T) {
	part := func(cause error) error {
		return &backtest.ReadError{What: "alerts", From: noon.Add(-time.Hour), To: noon, Cause: cause}
	}
	refused := func(status int) error {
		return part(actions.Permanent(&client.RefusedError{What: "prometheus:9090", Status: status}))
	}
	for name, c := range map[string]struct {
		err  error
		code int
		hint string
	}{
		"away":        {part(&client.Error{What: "GET http://prometheus:9090", Reason: "no answer in time"}), exitUnreachable, "run the same command again: what was read is kept and not asked again"},
		"a warning":   {part(fmt.Errorf("%w: a store is away", client.ErrPartial)), exitUnreachable, "run the same command again: what was read is kept and not asked again"},
		"overloaded":  {refused(http.StatusServiceUnavailable), exitUnreachable, "run the same command again: what was read is kept and not asked again"},
		"no entry":    {refused(http.StatusUnauthorized), exitNotAllowed, "give its credentials with --http-config or --bearer-token-file"},
		"not PromQL":  {refused(http.StatusBadRequest), exitUsage, "is that the address of a Prometheus, and are --releases and --alive PromQL?"},
		"not its API": {refused(http.StatusNotFound), exitUsage, "is that the address of a Prometheus, and are --releases and --alive PromQL?"},
	} {
		t.Run(name, func(t *testing.T) {
			a, _ := testApp()
			var f *failure
			require.ErrorAs(t, a.unread(t.Context(), c.err, "state"), &f)
			require.Equal(t, c.code, f.code)
			require.Equal(t, c.hint, f.hint)
			require.Contains(t, f.message, "read alerts from 2026-11-22T11:00:00Z to 2026-11-22T12:00:00Z: ")
		})
	}
	screen := &bytes.Buffer{}
	a, _ := testApp(func(a *app) { a.err = screen })
	ctx, stop := context.WithCancel(t.Context())
	stop()
	require.ErrorIs(t, a.unread(ctx, errors.New("it was stopped"), "state"), context.Canceled)
	require.Equal(t, "What was read is kept: the same command goes on from there.\n", screen.String())
}

// The only Prometheus of astern.yaml is asked without a word, as it is configured; flags win, and their credentials too.
func TestWhichPrometheusIsAsked(t *testing.T) {
	l, mistakes, err := load(filepath.Join("..", "..", "examples", "honeylink", "astern.yaml"))
	require.NoError(t, err)
	require.NoError(t, mistakes.Err())
	var f backtestFlags
	_, _, err = prometheusOf(l, &f)
	require.NoError(t, err)
	require.Contains(t, f.prometheus, "http", "the address in the file")
	token := filepath.Join(t.TempDir(), "token")
	f = backtestFlags{prometheus: "http://there:9090", bearer: token}
	_, _, err = prometheusOf(l, &f)
	require.ErrorContains(t, err, "--bearer-token-file: ")
	require.NoError(t, os.WriteFile(token, []byte("x"), 0o600))
	through, _, err := prometheusOf(l, &f)
	require.NoError(t, err)
	require.Equal(t, "http://there:9090", f.prometheus)
	require.Equal(t, token, through.Authorization.CredentialsFile)
	f.httpConfig = token
	_, _, err = prometheusOf(l, &f)
	require.ErrorContains(t, err, "not both")
}

// What may still change, and who asks, is known to what keeps the past.
func TestWhatIsKeptOfThePast(t *testing.T) {
	a, _ := testApp()
	through := filepath.Join(t.TempDir(), "http.yml")
	require.NoError(t, os.WriteFile(through, []byte("http_headers: {X-Scope-OrgID: {values: [a]}}\n"), 0o600))
	o, err := a.pastOf(nil, backtestFlags{prometheus: "http://there:9090", httpConfig: through, since: "2d", parallel: 1, follow: time.Hour, fresh: true})
	require.NoError(t, err)
	require.Equal(t, a.now().Add(-time.Hour), o.Settled)
	require.Equal(t, "http_headers: {X-Scope-OrgID: {values: [a]}}\n", o.Asker)
}

func TestAPastWithoutVarsSaysHowToTellThem(t *testing.T) {
	var page bytes.Buffer
	a, _ := testApp()
	a.backtestRule(&page, backtest.RuleReport{Rule: "R", Mode: "auto", Matched: 1, Not: []backtest.Held{
		{Outcome: "plan", Count: 1, Example: "no plan can be made: step switch: release.previous.vars.track is missing"},
	}})
	require.Contains(t, page.String(), "`vars:` in --releases")
	page.Reset()
	a.backtestRule(&page, backtest.RuleReport{Rule: "R", Mode: "auto", Matched: 1, Not: []backtest.Held{{Outcome: "cooldown", Count: 1, Example: "label team is missing"}}})
	require.NotContains(t, page.String(), "--releases")
}
