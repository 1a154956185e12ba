package pagerduty

import (
	"errors"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/actions/message"
	"astern.dev/astern/actions/message/fault"
	"astern.dev/astern/actions/message/messagetest"
	"astern.dev/astern/actions/pagerduty/pagerdutytest"
)

const (
	mainKey   = "astern/checkout-42/on_call"
	urgentKey = mainKey + "/urgent"
)

type bench struct {
	*pagerdutytest.Server
	*messagetest.Lane
}

func newBench(t *testing.T) *bench {
	t.Helper()
	double := pagerdutytest.New()
	server := httptest.NewServer(double)
	t.Cleanup(server.Close)
	opened := openAt(t, server.URL, pagerdutytest.RoutingKey)
	return &bench{double, &messagetest.Lane{Channel: &PagerDuty{}, Opened: opened, ID: "checkout-42/on_call"}}
}

func openAt(t *testing.T, url, key string) any {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte(key+"\n"), 0o600))
	connection := &Connection{Server: message.Server{URL: url}, RoutingKeyFile: file}
	require.NoError(t, connection.Validate())
	opened, err := connection.Open(client.NewDialer([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}))
	require.NoError(t, err)
	t.Cleanup(opened.(*Integration).http.Close)
	return opened
}

// tell goes through the revisions of an incident and gives what is open in the end.
func (b *bench) tell(t *testing.T, changes ...func(*actions.Message)) {
	t.Helper()
	m := messagetest.Message()
	require.NoError(t, b.Tell(t.Context(), m))
	for _, change := range changes {
		m = messagetest.Next(m, "Going on", change)
		require.NoError(t, b.Tell(t.Context(), m))
	}
	require.Empty(t, b.Rejected())
}

func (b *bench) open() map[string]pagerdutytest.Status {
	open := map[string]pagerdutytest.Status{}
	for _, a := range b.Open() {
		open[a.DedupKey] = a.Status
	}
	return open
}

func ended(phase string, good bool) func(*actions.Message) {
	return func(m *actions.Message) { m.Phase, m.Final, m.Good, m.Urgent = phase, true, good, false }
}

func urgent(m *actions.Message) { m.Urgent, m.Needs = true, "approve or reject the plan" }
func calm(m *actions.Message)   { m.Urgent, m.Needs = false, "" }
func taken(m *actions.Message)  { m.Taken, m.Urgent, m.Needs = true, false, "" }

func TestFirstTellingPages(t *testing.T) {
	b := newBench(t)
	b.tell(t)
	require.Len(t, b.Pages(), 1)
	a := b.Alerts()[0]
	require.Equal(t, mainKey, a.DedupKey)
	require.Equal(t, b.Ref, a.DedupKey)
	require.Equal(t, "[critical] checkout (production): error rate above 1 %, rolling back v42 → v41. Rolling back, step 2 of 4.", a.Payload.Summary)
	require.Equal(t, "checkout@production", a.Payload.Source)
	require.Equal(t, "critical", a.Payload.Severity)
	require.Equal(t, "ErrorRateSpike: error rate 3 % for 5 min, limit 1 %", a.Payload.CustomDetails["trigger"])
	require.Equal(t, "https://astern.example/incidents/checkout-42", a.Links[0].Href)
}

// What each way of going on leaves open, and how often a person was called.
func TestAlertsFollowTheIncident(t *testing.T) {
	for name, c := range map[string]struct {
		story []func(*actions.Message)
		open  map[string]pagerdutytest.Status
		pages int
	}{
		"progress calls nobody again":   {[]func(*actions.Message){calm, calm}, map[string]pagerdutytest.Status{mainKey: "triggered"}, 1},
		"a person has it in hand":       {[]func(*actions.Message){taken, taken}, map[string]pagerdutytest.Status{mainKey: "acknowledged"}, 1},
		"ended well":                    {[]func(*actions.Message){calm, ended("succeeded", true)}, nil, 1},
		"cancelled":                     {[]func(*actions.Message){ended("cancelled", false)}, nil, 1},
		"superseded":                    {[]func(*actions.Message){ended("superseded", false)}, nil, 1},
		"rejected by a person":          {[]func(*actions.Message){taken, ended("rejected", false)}, nil, 1},
		"failed":                        {[]func(*actions.Message){ended("failed", false)}, map[string]pagerdutytest.Status{mainKey: "triggered", urgentKey: "triggered"}, 2},
		"failed after a person took it": {[]func(*actions.Message){taken, ended("failed", false)}, map[string]pagerdutytest.Status{mainKey: "acknowledged", urgentKey: "triggered"}, 2},
		"a doubt pages once":            {[]func(*actions.Message){urgent, urgent}, map[string]pagerdutytest.Status{mainKey: "triggered", urgentKey: "triggered"}, 2},
		"a doubt that passed":           {[]func(*actions.Message){urgent, calm}, map[string]pagerdutytest.Status{mainKey: "triggered"}, 2},
		"approved":                      {[]func(*actions.Message){urgent, taken}, map[string]pagerdutytest.Status{mainKey: "acknowledged"}, 2},
		"approved, then failed":         {[]func(*actions.Message){urgent, taken, ended("failed", false)}, map[string]pagerdutytest.Status{mainKey: "acknowledged", urgentKey: "triggered"}, 3},
		"urgent after a good end":       {[]func(*actions.Message){ended("succeeded", true), urgent}, map[string]pagerdutytest.Status{urgentKey: "triggered"}, 2},
		"told again after a good end":   {[]func(*actions.Message){ended("succeeded", true), calm, calm}, nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.tell(t, c.story...)
			if c.open == nil {
				c.open = map[string]pagerdutytest.Status{}
			}
			require.Equal(t, c.open, b.open())
			require.Len(t, b.Pages(), c.pages)
		})
	}
}

func TestWhatWasOverBeforeAnyoneWasToldPagesNobody(t *testing.T) {
	b := newBench(t)
	m := messagetest.Message()
	b.Fail(fault.DropAfter)
	require.Error(t, b.Try(t.Context(), m))
	require.Len(t, b.Open(), 1)
	m = messagetest.Next(m, "Recovered", ended("succeeded", true))
	b.FailChanges(fault.ErrorBefore)
	require.NoError(t, b.Tell(t.Context(), m))
	require.Empty(t, b.Open(), "the attempt in doubt had opened it")
	require.Len(t, b.Pages(), 1)
	require.Len(t, b.Changes(), 1)
	require.Contains(t, b.Changes()[0].Summary, "Recovered")
}

func TestWhatIsUrgentPagesEvenWhenItIsOver(t *testing.T) {
	b := newBench(t)
	require.NoError(t, b.Tell(t.Context(), messagetest.Next(messagetest.Message(), "Recovered", func(m *actions.Message) {
		m.Final, m.Good, m.Urgent, m.Needs = true, true, true, "the product manager was not told in time"
	})))
	require.Len(t, b.Pages(), 1)
}

// Whatever goes wrong once, one alert is open and one person was called for each reason.
func TestEveryFaultLeavesOneAlert(t *testing.T) {
	faults := map[string]fault.Fault{
		"drop before": fault.DropBefore, "drop after": fault.DropAfter, "500 before": fault.ErrorBefore, "500 after": fault.ErrorAfter,
		"429": fault.Busy(time.Second), "429 without a time": fault.Busy(0), "html": fault.HTMLPage, "truncated": fault.TruncatedAfter,
		"another key": fault.Say(202, `{"status":"success","dedup_key":"x"}`), "empty": fault.Say(202, ``), "503": fault.Say(503, `{}`),
	}
	for name, f := range faults {
		for _, when := range []string{"first", "urgent", "resolve"} {
			t.Run(name+"/"+when, func(t *testing.T) {
				b := newBench(t)
				m := messagetest.Message()
				fail := func(now string) {
					if now == when {
						b.Fail(f)
					}
				}
				fail("first")
				require.NoError(t, b.Tell(t.Context(), m))
				require.Equal(t, map[string]pagerdutytest.Status{mainKey: "triggered"}, b.open())
				m = messagetest.Next(m, "Held", urgent)
				fail("urgent")
				require.NoError(t, b.Tell(t.Context(), m))
				require.Equal(t, map[string]pagerdutytest.Status{mainKey: "triggered", urgentKey: "triggered"}, b.open())
				fail("resolve")
				require.NoError(t, b.Tell(t.Context(), messagetest.Next(m, "Recovered", ended("succeeded", true))))
				require.Empty(t, b.open())
				require.Len(t, b.Pages(), 2)
				require.Empty(t, b.Rejected())
			})
		}
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	b.Opened = openAt(t, b.Opened.(*Integration).url, strings.Repeat("x", keyLength))
	err := b.Tell(t.Context(), messagetest.Message())
	require.True(t, actions.IsPermanent(err))
	require.ErrorContains(t, err, "answered 400, Event object is invalid, Invalid routing key")
	require.Len(t, b.Calls(), 1)

	b = newBench(t)
	b.Fail(fault.Busy(30 * time.Second))
	err = b.Try(t.Context(), messagetest.Message())
	var later interface{ RetryAfter() time.Duration }
	require.True(t, errors.As(err, &later))
	require.Equal(t, 30*time.Second, later.RetryAfter())
	require.Empty(t, b.Calls(), "nothing is repeated inside the channel")
}

func TestNoErrorHoldsTheRoutingKey(t *testing.T) {
	for _, f := range []fault.Fault{fault.DropAfter, fault.ErrorAfter, fault.HTMLPage, fault.Busy(0),
		fault.Say(400, `{"message":"bad","errors":["`+pagerdutytest.RoutingKey+` is unknown"]}`), fault.Say(500, pagerdutytest.RoutingKey)} {
		b := newBench(t)
		b.Fail(f)
		err := b.Try(t.Context(), messagetest.Message())
		require.Error(t, err)
		require.NotContains(t, err.Error(), pagerdutytest.RoutingKey)
	}
	b := newBench(t)
	b.Opened = openAt(t, "http://127.0.0.1:1", "short-canary")
	require.ErrorContains(t, b.Try(t.Context(), messagetest.Message()), "holds 12 characters")
	require.NotContains(t, b.Errors[0].Error(), "short-canary")
}

func TestHostileWordsAreTakenAsText(t *testing.T) {
	for _, words := range messagetest.Hostile() {
		b := newBench(t)
		m := messagetest.Message()
		m.Target, m.Environment, m.Severity, m.Title, m.Status, m.Trigger, m.Plan, m.Needs, m.URL = words, words, words, words, words, words, words, words, words
		m.News = []string{words}
		m.Steps = []actions.MessageStep{{Name: words, State: words, Summary: words}}
		require.NoError(t, b.Tell(t.Context(), m), "%.40q", words)
		require.Len(t, b.Pages(), 1)
		require.Empty(t, b.Rejected())
	}
}

func TestSeverities(t *testing.T) {
	m := messagetest.Message()
	for severity, want := range map[string]string{"critical": "critical", "Page": "critical", "warning": "warning", "info": "info", "": "error", "odd": "error"} {
		m.Severity = severity
		require.Equal(t, want, (&PagerDuty{}).severity(m), severity)
	}
	m.Severity, m.Urgent = "warning", true
	require.Equal(t, "error", (&PagerDuty{}).severity(m), "a person must wake up")
	require.Equal(t, "info", (&PagerDuty{Severity: "info"}).severity(m), "as it was asked for")
}

func TestKeysAndBodiesKeepTheLimits(t *testing.T) {
	long := dedupKey(strings.Repeat("x", 300), urgentSuffix)
	require.LessOrEqual(t, len(long), dedupLimit)
	require.NotEqual(t, long, dedupKey(strings.Repeat("x", 301), urgentSuffix))
	e := trigger(&actions.Notice{ID: "n", Message: messagetest.Message()}, "k", "error")
	e.Payload.CustomDetails["big"] = strings.Repeat("x", bodyLimit)
	body, err := e.encode("key")
	require.NoError(t, err)
	require.Less(t, len(body), bodyLimit)
	require.Contains(t, string(body), e.Payload.Summary)
}

func TestValidate(t *testing.T) {
	require.NoError(t, new(PagerDuty).Validate())
	require.NoError(t, (&PagerDuty{Severity: "warning"}).Validate())
	require.ErrorContains(t, (&PagerDuty{Severity: "sev1"}).Validate(), "critical, error, warning, info")
	require.ErrorContains(t, new(Connection).Validate(), "routing_key_file: is missing")
	require.NoError(t, (&Connection{RoutingKeyFile: "key"}).Validate())
	require.ErrorContains(t, (&Connection{RoutingKeyFile: "key", Server: message.Server{URL: "events.pagerduty.com"}}).Validate(), "url")
	_, err := new(PagerDuty).Run(t.Context(), actions.Env{})
	require.ErrorContains(t, err, "cannot be a step")
}
