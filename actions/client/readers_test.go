package client

import (
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions"
)

// answers serves recorded answers of Prometheus 3 and Alertmanager 0.31 by what is asked.
type answers struct {
	status int
	file   string
	asked  []url.Values
	paths  []string
	// ignores says that the server does not know lookback_delta.
	ignores bool
}

func (a *answers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	a.asked, a.paths = append(a.asked, query), append(a.paths, r.URL.Path)
	if query.Get("lookback_delta") == "x" && !a.ignores {
		a.write(w, http.StatusBadRequest, "prom_bad_lookback.json")
		return
	}
	if query.Get("lookback_delta") == "x" {
		a.write(w, http.StatusOK, "prom_scalar.json")
		return
	}
	a.write(w, a.status, a.file)
}

func (a *answers) write(w http.ResponseWriter, status int, file string) {
	raw, err := os.ReadFile("testdata/" + file)
	if err != nil {
		raw = []byte(file)
	}
	w.WriteHeader(status)
	if _, err := w.Write(raw); err != nil {
		return
	}
}

func (a *answers) prometheus(t *testing.T) *Prometheus {
	server := serve(t, a.ServeHTTP)
	c := &PrometheusConnection{}
	c.URL = server.URL + "/prefix/"
	opened, err := c.Open(NewDialer(loopback))
	require.NoError(t, err)
	t.Cleanup(opened.(*Prometheus).http.Close)
	return opened.(*Prometheus)
}

var at = time.Date(2026, 3, 1, 12, 0, 0, 500e6, time.UTC)

func TestQuery(t *testing.T) {
	a := &answers{status: 200, file: "prom_vector.json"}
	p := a.prometheus(t)
	sample, err := p.Query(t.Context(), `up{job="a b"}`, at)
	require.NoError(t, err)
	require.Equal(t, 1.0, sample.Value)
	require.Equal(t, time.UnixMilli(1795396618531).UTC(), sample.At)
	require.Equal(t, map[string]string{"__name__": "up", "instance": "127.0.0.1:19090", "job": "self"}, sample.Labels)
	require.Equal(t, url.Values{"query": {`up{job="a b"}`}, "time": {"1772366400.500"}}, a.asked[0])
	require.Equal(t, []string{"/prefix/api/v1/query"}, a.paths)
	for file, check := range map[string]func(float64, error){
		"prom_scalar.json":  func(v float64, err error) { require.NoError(t, err); require.Equal(t, 1.0, v) },
		"prom_nan.json":     func(v float64, err error) { require.NoError(t, err); require.True(t, math.IsNaN(v)) },
		"prom_inf.json":     func(v float64, err error) { require.NoError(t, err); require.True(t, math.IsInf(v, 1)) },
		"prom_empty.json":   func(_ float64, err error) { require.ErrorIs(t, err, ErrEmpty) },
		"prom_several.json": func(_ float64, err error) { require.ErrorIs(t, err, ErrSeveral) },
		"prom_warning.json": func(_ float64, err error) { require.ErrorIs(t, err, ErrPartial) },
		"prom_string.json":  func(_ float64, err error) { require.ErrorContains(t, err, "not with numbers") },
		"prom_matrix.json":  func(_ float64, err error) { require.ErrorContains(t, err, "not with one value") },
		"<html>":            func(_ float64, err error) { require.ErrorContains(t, err, "not Prometheus' JSON") },
		`{}`:                func(_ float64, err error) { require.ErrorContains(t, err, "not Prometheus' JSON") },
		"null":              func(_ float64, err error) { require.ErrorContains(t, err, "not Prometheus' JSON") },
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}`:               func(_ float64, err error) { require.ErrorContains(t, err, "value") },
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":["1"]}]}}`:                 func(_ float64, err error) { require.ErrorContains(t, err, "[time, value]") },
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{"count":"1"}]}]}}`: func(_ float64, err error) { require.ErrorContains(t, err, "histogram") },
		`{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}`:                               func(_ float64, err error) { require.Error(t, err) },
	} {
		a.file = file
		sample, err := p.Query(t.Context(), "q", at)
		check(sample.Value, err)
	}
}

func TestQueryRefused(t *testing.T) {
	a := &answers{status: 400, file: "prom_bad_query.json"}
	p := a.prometheus(t)
	_, err := p.Query(t.Context(), "up{", at)
	require.ErrorContains(t, err, "answered 400 bad_data: invalid parameter \"query\": 1:4: parse error")
	require.True(t, actions.IsPermanent(err))
	a.status, a.file = 503, "prom_empty.json"
	_, err = p.Query(t.Context(), "up", at)
	require.Error(t, err)
	require.False(t, actions.IsPermanent(err))
	a.status, a.file = 200, `{"status":"error","errorType":"execution","error":"x"}`
	_, err = p.Query(t.Context(), "up", at)
	require.ErrorContains(t, err, "execution: x")
}

func TestQueryRange(t *testing.T) {
	a := &answers{status: 200, file: "prom_matrix.json"}
	p := a.prometheus(t)
	q := RangeQuery{Query: "up", Start: at.Add(-time.Minute), End: at, Step: 15 * time.Second, LookbackDelta: 30 * time.Second}
	series, err := p.QueryRange(t.Context(), q)
	require.NoError(t, err)
	require.Len(t, series, 1)
	require.Equal(t, []Point{{time.Unix(1795396617, 0).UTC(), 1}, {time.Unix(1795396618, 0).UTC(), 1}}, series[0].Points)
	require.Equal(t, url.Values{"query": {"up"}, "start": {"1772366340.500"}, "end": {"1772366400.500"}, "step": {"15"}, "lookback_delta": {"30"}}, a.asked[1])
	_, err = p.QueryRange(t.Context(), q)
	require.NoError(t, err)
	require.Len(t, a.asked, 3, "a server is asked once whether it heeds lookback_delta")
	a.file = "prom_warning.json"
	_, err = p.QueryRange(t.Context(), q)
	require.ErrorIs(t, err, ErrPartial)
}

func TestServersThatIgnoreLookback(t *testing.T) {
	a := &answers{status: 200, file: "prom_matrix.json", ignores: true}
	p := a.prometheus(t)
	q := RangeQuery{Query: "up", Start: at, End: at, Step: time.Second, LookbackDelta: time.Second}
	for range 2 {
		_, err := p.QueryRange(t.Context(), q)
		require.ErrorIs(t, err, ErrNoLookback)
	}
	q.LookbackDelta = 0
	_, err := p.QueryRange(t.Context(), q)
	require.NoError(t, err)
	for status, body := range map[int]string{400: `{"status":"error","error":"bad request"}`, 404: "not found", 403: "no"} {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); io.WriteString(w, body) })
		p := NewPrometheus(must(ParseRoot(server.URL)), newHTTP(t, HTTPConfig{}))
		q.LookbackDelta = time.Second
		_, err := p.QueryRange(t.Context(), q)
		require.ErrorIs(t, err, ErrNoLookback, "%d says nothing about lookback_delta", status)
	}
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	_, err = NewPrometheus(must(ParseRoot(server.URL)), newHTTP(t, HTTPConfig{})).QueryRange(t.Context(), q)
	require.Error(t, err)
	require.NotErrorIs(t, err, ErrNoLookback, "a server that is away may heed it")
}

func TestAlerts(t *testing.T) {
	a := &answers{status: 200, file: "am_alerts.json"}
	server := serve(t, a.ServeHTTP)
	c := &AlertmanagerConnection{}
	c.URL = server.URL
	opened, err := c.Open(NewDialer(loopback))
	require.NoError(t, err)
	am := opened.(*Alertmanager)
	t.Cleanup(am.http.Close)
	alerts, err := am.Alerts(t.Context(), []string{`alertname="X"`, `service="a&b"`})
	require.NoError(t, err)
	require.Len(t, alerts, 2)
	require.Equal(t, map[string]string{"alertname": "Other", "service": "api"}, alerts[0].Labels)
	require.Equal(t, "suppressed", alerts[0].Status.State)
	require.Len(t, alerts[0].Status.SilencedBy, 1)
	require.Equal(t, "30f25b66709c2555", alerts[1].Fingerprint)
	require.Equal(t, "active", alerts[1].Status.State)
	require.Equal(t, []Receiver{{"none"}}, alerts[1].Receivers)
	require.Equal(t, time.Date(2026, 11, 23, 1, 16, 58, 846e6, time.UTC), alerts[1].StartsAt)
	require.Equal(t, url.Values{"filter": {`alertname="X"`, `service="a&b"`}}, a.asked[0])
	require.Equal(t, "/api/v2/alerts", a.paths[0])
	a.file = "am_none.json"
	alerts, err = am.Alerts(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, alerts)
	// What is no list of alerts is unknown, never "no alert": an absent alert is not silenced.
	for _, file := range []string{"null", "{}", "<html>", "", `[{"labels":{}}]`, `[{"labels":{"a":"b"},"status":{}}]`, "prom_empty.json"} {
		a.file = file
		_, err = am.Alerts(t.Context(), nil)
		require.Error(t, err, file)
	}
	a.status, a.file = 400, "am_bad_filter.json"
	_, err = am.Alerts(t.Context(), []string{`a"b"=`})
	require.ErrorContains(t, err, "answered 400: bad matcher format")
	require.True(t, actions.IsPermanent(err))
}
