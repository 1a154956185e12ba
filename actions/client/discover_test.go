package client

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
)

func TestAlertRules(t *testing.T) {
	a := &answers{status: 200, file: `{"status":"success","data":{"groups":[{"name":"g","file":"f.yaml","rules":[
		{"type":"alerting","name":"A","query":"up == 0","duration":90,"labels":{"severity":"high"},"annotations":{"summary":"s"}},{"type":"recording","name":"r","query":"1"}]}]}}`}
	rules, err := a.prometheus(t).AlertRules(t.Context())
	require.NoError(t, err)
	require.Equal(t, []AlertRule{{Group: "g", File: "f.yaml", Name: "A", Query: "up == 0", Wait: 90 * time.Second,
		Labels: map[string]string{"severity": "high"}, Annotations: map[string]string{"summary": "s"}}}, rules)
	require.Equal(t, []string{"/prefix/api/v1/rules"}, a.paths)
	require.Equal(t, "alert", a.asked[0].Get("type"))
}

func TestLabelSetsAndNames(t *testing.T) {
	a := &answers{status: 200, file: `{"status":"success","data":[{"__name__":"ALERTS","alertname":"A"}],"warnings":["results truncated due to limit"]}`}
	sets, err := a.prometheus(t).LabelSets(t.Context(), "ALERTS", at.Add(-time.Hour), at, 7)
	require.NoError(t, err, "a bound that was reached is an answer")
	require.Equal(t, []map[string]string{{"__name__": "ALERTS", "alertname": "A"}}, sets)
	require.Equal(t, "match%5B%5D=ALERTS", "match%5B%5D="+a.asked[0].Get("match[]"))
	require.Equal(t, "7", a.asked[0].Get("limit"))
	require.Equal(t, "1772366400.500", a.asked[0].Get("end"))
	a = &answers{status: 200, file: `{"status":"success","data":["a","b"]}`}
	names, err := a.prometheus(t).MetricNames(t.Context(), `{x!=""}`, at, at, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b"}, names)
	require.NotContains(t, a.asked[0], "limit")
}

func TestExternalLabels(t *testing.T) {
	a := &answers{status: 200, file: `{"status":"success","data":{"yaml":"global:\n  external_labels:\n    env: \"a b\"\n"}}`}
	labels, err := a.prometheus(t).ExternalLabels(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]string{"env": "a b"}, labels)
	_, err = (&answers{status: 200, file: `{"status":"success","data":{"yaml":"{"}}`}).prometheus(t).ExternalLabels(t.Context())
	require.ErrorContains(t, err, "no YAML")
}

func TestWhatIsNoAnswer(t *testing.T) {
	for _, c := range []struct {
		status    int
		body, say string
		permanent bool
	}{
		{200, `<html>`, "is not Prometheus' JSON", false},
		{200, `{"status":"success","data":{}}`, "is not Prometheus' JSON", false},
		{200, `{"status":"error","errorType":"bad_data","error":"no\nway"}`, "bad_data: no way", true},
		{404, `not found`, "answered 404", true},
		{401, `{"status":"error","error":"who?"}`, "answered 401: who?", true},
	} {
		_, err := (&answers{status: c.status, file: c.body}).prometheus(t).LabelSets(t.Context(), "ALERTS", at, at, 0)
		require.ErrorContains(t, err, c.say, c.body)
		require.Equal(t, c.permanent, actions.IsPermanent(err), c.body)
	}
}
