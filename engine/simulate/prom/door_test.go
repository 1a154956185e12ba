package prom

import (
	"context"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/client"
)

// at is a virtual time as the door reads it.
func at(since time.Duration) string { return start.Add(since).Format(time.RFC3339Nano) }

func TestTheDoorAnswersAsPrometheus(t *testing.T) {
	in := series{
		`errors{s="a"}`: "1 2 _ 4 stale", `errors{s="b"}`: "NaN Inf -Inf 1e-7 0.25", "up": "1x60",
		"h": "{{schema:0 sum:3 count:2 buckets:[1 1]}}",
	}
	s := server(t, Options{}, in, "")
	for _, c := range []struct {
		name, path string
		form       url.Values
		status     int
		want       string
	}{
		{"a vector", "/api/v1/query", url.Values{"query": {"errors"}, "time": {at(time.Minute)}}, 200,
			`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"errors","s":"a"},"value":[1772355660,"2"]},{"metric":{"__name__":"errors","s":"b"},"value":[1772355660,"+Inf"]}]}}`},
		{"nothing", "/api/v1/query", url.Values{"query": {"none"}}, 200, `{"status":"success","data":{"resultType":"vector","result":[]}}`},
		{"nothing over a range", "/api/v1/query_range", url.Values{"query": {"none"}, "start": {"1"}, "end": {"2"}, "step": {"1"}}, 200,
			`{"status":"success","data":{"resultType":"matrix","result":[]}}`},
		{"without a time it is now", "/api/v1/query", url.Values{"query": {"time()"}}, 200, `{"status":"success","data":{"resultType":"scalar","result":[1772355600,"1772355600"]}}`},
		{"a string", "/api/v1/query", url.Values{"query": {`"x"`}}, 200, `{"status":"success","data":{"resultType":"string","result":[1772355600,"x"]}}`},
		{"a stale series is gone, a missing sample is looked back for", "/api/v1/query_range",
			url.Values{"query": {`errors{s="a"}`}, "start": {at(0)}, "end": {at(5 * time.Minute)}, "step": {"1m"}}, 200,
			`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"errors","s":"a"},"values":[[1772355600,"1"],[1772355660,"2"],[1772355720,"2"],[1772355780,"4"]]}]}}`},
		{"lookback_delta shows the gap", "/api/v1/query_range",
			url.Values{"query": {`errors{s="a"}`}, "start": {at(0)}, "end": {at(5 * time.Minute)}, "step": {"60"}, "lookback_delta": {"30"}}, 200,
			`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"errors","s":"a"},"values":[[1772355600,"1"],[1772355660,"2"],[1772355780,"4"]]}]}}`},
		{"lookback_delta at one time", "/api/v1/query", url.Values{"query": {"up"}, "time": {at(30 * time.Second)}, "lookback_delta": {"30s"}}, 200,
			`{"status":"success","data":{"resultType":"vector","result":[]}}`},
		{"a limit", "/api/v1/query", url.Values{"query": {"errors"}, "time": {at(time.Minute)}, "limit": {"1"}}, 200,
			`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"errors","s":"a"},"value":[1772355660,"2"]}]},"warnings":["results truncated due to limit"]}`},
		{"a histogram", "/api/v1/query", url.Values{"query": {"h"}}, 200,
			`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"__name__":"h"},"histogram":[1772355600,{"count":"2","sum":"3","buckets":[[0,"0.5","1","1"],[0,"1","2","1"]]}]}]}}`},
		{"a warning", "/api/v1/query", url.Values{"query": {"quantile(2, up)"}}, 200,
			`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1772355600,"+Inf"]}]},"warnings":["PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)"]}`},
		{"an info", "/api/v1/query", url.Values{"query": {"rate(up[5m])"}, "time": {at(9 * time.Minute)}}, 200,
			`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1772356140,"0"]}]},"infos":["PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"up\" (1:6)"]}`},
		{"bad PromQL", "/api/v1/query", url.Values{"query": {"up{"}}, 400,
			`{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": 1:4: parse error: unexpected end of input inside braces"}`},
		{"a bad lookback", "/api/v1/query", url.Values{"query": {"1"}, "lookback_delta": {"x"}}, 400,
			`{"status":"error","errorType":"bad_data","error":"error parsing lookback delta duration: cannot parse \"x\" to a valid duration"}`},
		{"a bad lookback of a range", "/api/v1/query_range", url.Values{"query": {"1"}, "start": {"1"}, "end": {"2"}, "step": {"1"}, "lookback_delta": {"1e300"}}, 400,
			`{"status":"error","errorType":"bad_data","error":"error parsing lookback delta duration: cannot parse \"1e300\" to a valid duration. It overflows int64"}`},
		{"a bad time", "/api/v1/query", url.Values{"query": {"1"}, "time": {"noon"}}, 400,
			`{"status":"error","errorType":"bad_data","error":"invalid parameter \"time\": invalid time value for 'time': cannot parse \"noon\" to a valid timestamp"}`},
		{"no start", "/api/v1/query_range", url.Values{"query": {"1"}}, 400,
			`{"status":"error","errorType":"bad_data","error":"invalid parameter \"start\": cannot parse \"\" to a valid timestamp"}`},
		{"an end before the start", "/api/v1/query_range", url.Values{"query": {"1"}, "start": {"2"}, "end": {"1"}, "step": {"1"}}, 400,
			`{"status":"error","errorType":"bad_data","error":"invalid parameter \"end\": end timestamp must not be before start time"}`},
		{"no step", "/api/v1/query_range", url.Values{"query": {"1"}, "start": {"1"}, "end": {"2"}, "step": {"0"}}, 400,
			`{"status":"error","errorType":"bad_data","error":"invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer"}`},
		{"too many points", "/api/v1/query_range", url.Values{"query": {"1"}, "start": {"1"}, "end": {"20000"}, "step": {"1"}}, 400,
			`{"status":"error","errorType":"bad_data","error":"exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"}`},
		{"a bad time-out", "/api/v1/query", url.Values{"query": {"1"}, "timeout": {"soon"}}, 400,
			`{"status":"error","errorType":"bad_data","error":"invalid parameter \"timeout\": cannot parse \"soon\" to a valid duration"}`},
		{"a bad limit", "/api/v1/query", url.Values{"query": {"1"}, "limit": {"-1"}}, 400,
			`{"status":"error","errorType":"bad_data","error":"invalid parameter \"limit\": limit must be non-negative"}`},
		{"a query that fails", "/api/v1/query", url.Values{"query": {`label_replace(up, "1 2", "", "", "(")`}}, 422,
			`{"status":"error","errorType":"execution","error":"invalid regular expression in label_replace(): ("}`},
		{"another path", "/api/v1/alerts", nil, 404, "Not Found\n"},
	} {
		for _, request := range []*http.Request{
			httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path+"?"+c.form.Encode(), nil),
			httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/prefix"+c.path, strings.NewReader(c.form.Encode())),
		} {
			t.Run(c.name+" "+request.Method, func(t *testing.T) {
				if request.Method == http.MethodPost {
					request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				}
				answer := httptest.NewRecorder()
				s.ServeHTTP(answer, request)
				require.Equal(t, c.want, answer.Body.String())
				require.Equal(t, c.status, answer.Code)
			})
		}
	}
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/api/v1/query", nil))
	require.Equal(t, http.StatusMethodNotAllowed, answer.Code)
}

// open gives the reader of the product, whose every connection leads to the server through a pipe in memory.
func open(t *testing.T, s *Server) *client.Prometheus {
	t.Helper()
	c := &client.PrometheusConnection{}
	c.URL = "http://prometheus:9090/eu"
	opened, err := c.Open(func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		listener := &pipe{far: make(chan net.Conn, 1)}
		listener.far <- far
		close(listener.far)
		go func() { _ = (&http.Server{Handler: s, ReadHeaderTimeout: time.Minute}).Serve(listener) }() // ends with its one connection
		return near, nil
	})
	require.NoError(t, err)
	return opened.(*client.Prometheus)
}

// pipe is a listener of one connection.
type pipe struct{ far chan net.Conn }

func (p *pipe) Accept() (net.Conn, error) {
	if conn, ok := <-p.far; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (p *pipe) Close() error   { return nil }
func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func TestTheProductsOwnReader(t *testing.T) {
	now := start.Add(10 * time.Minute)
	clock := func() time.Time { return now }
	s := server(t, Options{Now: clock, Scrape: 15 * time.Second}, series{`errors{s="a"}`: "0.03x3 _x1 0.5x20", "odd": "NaN Inf"}, "")
	p := open(t, s)
	whole := client.RangeQuery{Query: "errors", Start: start, End: start.Add(5 * time.Minute), Step: 15 * time.Second, LookbackDelta: 30 * time.Second}
	found, err := p.QueryRange(t.Context(), whole)
	require.NoError(t, err, "lookback_delta is seen to be heeded")
	require.Len(t, found, 1)
	require.Equal(t, map[string]string{"__name__": "errors", "s": "a"}, found[0].Labels)
	require.Len(t, found[0].Points, 21-3, "the gap of a minute shows, less one point that is looked back for")
	require.Equal(t, 0.03, found[0].Points[0].Value)

	whole.Start, whole.End = start.Add(6*time.Minute), now
	found, err = p.QueryRange(t.Context(), whole)
	require.NoError(t, err)
	require.Len(t, found[0].Points, 17, "a window of fresh samples is whole")

	sample, err := p.Query(t.Context(), "odd", start)
	require.NoError(t, err)
	require.True(t, math.IsNaN(sample.Value))
	_, err = p.Query(t.Context(), "none", now)
	require.ErrorIs(t, err, client.ErrEmpty)
	_, err = p.Query(t.Context(), "quantile(2, errors)", now)
	require.ErrorIs(t, err, client.ErrPartial)
	_, err = p.Query(t.Context(), "errors{", now)
	require.ErrorContains(t, err, `prometheus:9090 answered 400 bad_data: invalid parameter "query"`)
}

func TestTheFutureIsHidden(t *testing.T) {
	now := start.Add(3 * time.Minute)
	s := server(t, Options{Now: func() time.Time { return now }}, series{"errors": "1 2 3 4 5 6 7"}, "")
	p := open(t, s)
	for query, want := range map[string]float64{"errors": 4, "errors offset -2m": 4, "max_over_time(errors[10m])": 4} {
		sample, err := p.Query(t.Context(), query, start.Add(4*time.Minute))
		require.NoError(t, err)
		require.Equal(t, want, sample.Value, query)
	}
	now = now.Add(3 * time.Minute)
	sample, err := p.Query(t.Context(), "errors offset -2m", start.Add(4*time.Minute))
	require.NoError(t, err)
	require.Equal(t, 7.0, sample.Value)
}
