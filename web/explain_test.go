package web

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine"
)

func (f *fixture) explained(body string) ExplanationList {
	f.t.Helper()
	a := f.as(Viewer, "POST", "/api/v1/explain", body)
	require.Equal(f.t, 200, a.StatusCode, string(a.body))
	var got ExplanationList
	require.NoError(f.t, json.Unmarshal(a.body, &got))
	require.Equal(f.t, header("ExplanationList"), got.Header)
	return got
}

const observesAPI = `{"labels":{"alertname":"Observes","service":"api"},"startsAt":"2026-11-23T11:00:00Z"}`

func TestExplainAPayload(t *testing.T) {
	f := newFixture(t)
	for name, payload := range map[string]string{
		"a notification": strings.Replace(good, `"labels":{"alertname":"A"},"annotations"`, `"labels":{"alertname":"Observes","service":"api"},"annotations"`, 1),
		"one alert":      observesAPI,
		"a list":         "[" + observesAPI + "]",
	} {
		got := f.explained(`{"source":"am-bearer","notification":` + payload + `}`)
		require.Len(t, got.Items, 1, name)
		x := got.Items[0]
		require.Equal(t, engine.OnlyWatched, x.End, name)
		require.Equal(t, "am-bearer", x.Alert.Source)
		require.Len(t, x.Rules, 2)
		require.NotEmpty(t, x.Cases[0].Findings)
	}
	require.Equal(t, 200, f.as(Viewer, "GET", "/api/v1/incidents", "").StatusCode)
	require.NotContains(t, string(f.as(Viewer, "GET", "/api/v1/incidents", "").body), "api-1", "a question begins nothing")
}

func TestExplainSeveralAlerts(t *testing.T) {
	f := newFixture(t)
	var all []string
	for n := range 30 {
		all = append(all, fmt.Sprintf(`{"labels":{"alertname":"Observes","n":"%d","odd":"%d"}}`, n, n%2))
	}
	payload := "[" + strings.Join(all, ",") + "]"
	got := f.explained(`{"notification":` + payload + `}`)
	require.Len(t, got.Items, explainMost)
	require.Equal(t, 10, got.Left)
	got = f.explained(`{"labels":{"odd":"1"},"notification":` + payload + `}`)
	require.Len(t, got.Items, 15)
	got = f.explained(`{"labels":{"n":"3"},"notification":` + payload + `}`)
	require.Len(t, got.Items, 1)
}

func TestExplainFromTheLedger(t *testing.T) {
	f := newFixture(t)
	require.Equal(t, engine.NeverReceived, f.explained(`{"labels":{"service":"api"}}`).Items[0].End)
	require.Equal(t, 200, f.deliver(strings.Replace(good, `"annotations":{}`, `"annotations":{"summary":"s"}`, 1)).StatusCode)
	x := f.explained(`{}`).Items[0]
	require.Equal(t, engine.NoRule, x.End)
	require.Equal(t, "s", x.Alert.Annotations["summary"], "the door's decoder reads what was kept")
	require.Equal(t, "am-bearer", x.Received.Source)
	require.Equal(t, engine.NeverReceived, f.explained(`{"at":"2026-01-01T00:00:00Z"}`).Items[0].End)
}

func TestOneQuestionIsAnsweredAtATime(t *testing.T) {
	f := newFixture(t)
	require.True(t, f.explaining.TryAcquire(1))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	_, err := f.explain(ctx, engine.Person{}, call{}, ExplainRequest{})
	require.ErrorContains(t, err, "explaining takes too long")
	f.explaining.Release(1)
	require.Equal(t, engine.NeverReceived, f.explained(`{}`).Items[0].End)
}

func TestExplainRefuses(t *testing.T) {
	f := newFixture(t)
	for body, says := range map[string]string{
		`{"incident":"none-1"}`:                                    "not found",
		`{"incident":"a","notification":{"labels":{"a":"b"}}}`:     "asked about already",
		`{"notification":{"labels":{}}}`:                           "at least one label",
		`{"notification":"x"}`:                                     "neither a notification nor an alert",
		`{"notification":{"version":"3","alerts":[]}}`:             "/version",
		`{"notification":[1]}`:                                     "not a list of alerts",
		`{"labels":{"x":"y"},"notification":{"labels":{"a":"b"}}}`: "no alert in it has these labels",
		`{"canary":1}`:                                             "canary",
	} {
		a := f.as(Viewer, "POST", "/api/v1/explain", body)
		require.GreaterOrEqual(t, a.StatusCode, 400, body)
		require.Less(t, a.StatusCode, 500, body)
		require.Contains(t, a.problem(t).Message+a.problem(t).Field, says, body)
	}
}

func TestPayloadsThatPeopleHaveAtHand(t *testing.T) {
	for name, c := range map[string]struct{ payload, status, note string }{
		"Alertmanager's API":            {`{"status":{"state":"active","silencedBy":[]},"labels":{"a":"b"},"startsAt":"2026-11-23T11:00:00Z","endsAt":"2026-11-23T14:00:00Z","receivers":[{"name":"x"}]}`, "firing", ""},
		"silenced":                      {`{"status":{"state":"suppressed"},"labels":{"a":"b"},"startsAt":"2026-11-23T11:00:00Z"}`, "firing", "silenced or inhibited"},
		"Prometheus' API":               {`{"state":"firing","activeAt":"2026-11-23T11:00:00Z","labels":{"a":"b"},"value":"1e+00"}`, "firing", ""},
		"pending":                       {`{"state":"pending","activeAt":"2026-11-23T11:00:00Z","labels":{"a":"b"}}`, "firing", "does not fire yet"},
		"of a notification":             {`{"status":"resolved","labels":{"a":"b"},"startsAt":"2026-11-23T11:00:00Z","endsAt":"2026-11-23T11:30:00Z"}`, "resolved", ""},
		"white space stands before it":  {" \n\t" + `{"labels":{"a":"b"},"startsAt":"2026-11-23T11:00:00Z"}`, "firing", ""},
		"a control character in labels": {`{"labels":{"a":"b\u001b[31m"},"startsAt":"2026-11-23T11:00:00Z"}`, "firing", ""},
	} {
		t.Run(name, func(t *testing.T) {
			all, err := decodePayload([]byte(c.payload), receipt)
			require.NoError(t, err)
			require.Len(t, all, 1)
			require.Equal(t, c.status, all[0].Alert.Status)
			require.Equal(t, "2026-11-23T11:00:00Z", all[0].Alert.StartsAt.Format("2006-01-02T15:04:05Z"))
			require.Contains(t, all[0].Note, c.note)
			require.Equal(t, strings.Contains(name, "control"), all[0].Quarantine != "")
		})
	}
}

// Whatever people hand in to be explained: alerts with labels, or a mistake in words.
func FuzzPayload(f *testing.F) {
	for _, body := range payloads(f) {
		f.Add(body)
	}
	for _, body := range []string{
		`{"status":{"state":"suppressed"},"labels":{"a":"b"},"startsAt":"2026-11-23T11:00:00Z"}`, `[{"state":"pending","activeAt":"2026-11-23T11:00:00Z","labels":{"a":"b"}}]`,
		`{"labels":{"a":"b\u001b"},"endsAt":"0001-01-01T00:00:00Z"}`, `{"alerts":[]}`, `[{}]`, `{"status":7,"labels":{"a":""}}`, `null`, ` [null]`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		all, left, err := Pick(body, nil, receipt)
		if err != nil {
			require.Less(t, len(err.Error()), 1000)
			require.Empty(t, all)
			return
		}
		require.NotEmpty(t, all)
		require.GreaterOrEqual(t, left, 0)
		for _, d := range all {
			require.NotEmpty(t, d.Alert.Labels)
			require.Contains(t, []string{"firing", "resolved"}, d.Alert.Status)
			_, err := json.Marshal(d.Alert)
			require.NoError(t, err)
		}
	})
}

func TestEveryRecordedPayloadCanBeExplained(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "payloads", "*", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		all, err := decodePayload(body, receipt)
		require.NoError(t, err, file)
		require.NotEmpty(t, all, file)
	}
}

func TestExplainAtNoTimeOfALedger(t *testing.T) {
	f := newFixture(t)
	for _, at := range []string{"0001-01-02T00:00:00Z", "1500-01-01T00:00:00Z", "9999-12-31T00:00:00Z"} {
		a := f.as(Viewer, "POST", "/api/v1/explain", `{"at":"`+at+`"}`)
		require.Equal(t, 400, a.StatusCode, at)
		require.Contains(t, string(a.body), `"/at"`)
	}
}
