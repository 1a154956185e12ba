package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/simulate/ruletest"
)

// A long run shows on a terminal how far it is, and leaves nothing behind; a short one and a pipe show nothing.
func TestALongRunShowsHowFarItIs(t *testing.T) {
	at, screen := noon, &bytes.Buffer{}
	a, _ := testApp(func(a *app) { a.now, a.paints, a.err = func() time.Time { return at }, true, screen })
	p := a.progress(3)
	p.done(ruletest.TestResult{})
	require.Empty(t, screen.String())
	at = at.Add(slowRun + time.Second)
	p.done(ruletest.TestResult{})
	require.Equal(t, "\r2 of 3 tests", screen.String())
	p.clear()
	require.Regexp(t, `\r +\r$`, screen.String())

	screen.Reset()
	a.paints = false
	p = a.progress(1)
	at = at.Add(time.Hour)
	p.done(ruletest.TestResult{})
	p.clear()
	require.Empty(t, screen.String())
}
