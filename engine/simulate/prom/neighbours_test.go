//go:build neighbours

package prom

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/actiontest"
)

var compared = series{
	`errors_total{service="a"}`: "0+6x120 0+1x119", `errors_total{service="b"}`: "0x60 _x20 5+5x80",
	`requests_total{service="a"}`: "0+60x240", `requests_total{service="b"}`: "0+7x200 stale _x10 1400+7x20",
	`ratio{service="a"}`: "0.03x40 0.5x200", `ratio{service="b"}`: "0.1 0.2 0.3 _ _ _ 0.7x30 stale 0.1x10 NaN NaN 0.3",
	`ratio{service="c",env="x"}`: "1e-9 1e21 -4 0.1 0.2 0.3x200", "one": "1x240", "late": "_x100 3x100",
	`odd{n="1"}`: "1 2 NaN Inf -Inf 0 1 2", `odd{n="2"}`: "5x3 stale 5x3 NaN NaN 5x100",
	`latency_bucket{le="0.1"}`: "0+10x240", `latency_bucket{le="1"}`: "0+15x240", `latency_bucket{le="+Inf"}`: "0+16x240",
}

var questions = []string{
	`one`, `late`, `ratio`, `odd`, `odd > 1`, `odd == 5`, `odd != odd`, `ratio{service=~"a|c"}`, `ratio{env=""}`, `{__name__=~"o.+"}`, `none`,
	`rate(errors_total[5m])`, `irate(requests_total[3m])`, `increase(errors_total[10m])`, `resets(errors_total[20m])`, `changes(ratio[10m])`,
	`delta(ratio[7m])`, `deriv(requests_total[4m])`, `predict_linear(errors_total[10m], 600)`,
	`sum by (service) (rate(errors_total[5m])) / sum by (service) (rate(requests_total[5m]))`,
	`sum(ratio)`, `avg without (env) (ratio)`, `max(ratio) - min(ratio)`, `topk(1, ratio)`, `quantile(0.5, ratio)`, `stddev(ratio)`, `count_values("v", one)`,
	`count_over_time(ratio[5m])`, `avg_over_time(ratio[90s])`, `max_over_time(odd[3m])`, `last_over_time(ratio[1m])`, `quantile_over_time(0.9, ratio[10m])`,
	`absent(late)`, `absent_over_time(late[3m])`, `present_over_time(odd[2m])`, `timestamp(ratio)`,
	`ratio offset 5m`, `ratio offset -2m`, `ratio @ end()`, `max_over_time(ratio[10m:1m])`, `rate(errors_total[5m])[10m:30s]`, `min_over_time(rate(requests_total[2m])[10m:])`,
	`histogram_quantile(0.9, rate(latency_bucket[5m]))`, `label_replace(ratio, "to", "x-$1", "service", "(.*)")`,
	`errors_total * on(service) group_left(env) ratio`, `ratio and on(service) errors_total > 10`, `ratio or one`, `ratio unless on(service) late`,
	`scalar(one) + time()`, `clamp_max(ratio, 0.2)`, `vector(1) > bool 2`, `quantile(2, ratio)`, `rate(one[5m])`,
	`errors_total / on() ratio`, `ratio{`, `label_replace(one, "a", "", "", "(")`, `sum(`,
}

// The same samples in a real Prometheus and here: each question is answered alike, word for word.
func TestTheRealOneAnswersAlike(t *testing.T) {
	ours := New(Options{Start: start, Interval: 30 * time.Second})
	for _, name := range slices.Sorted(maps.Keys(compared)) {
		require.NoError(t, ours.Load(name, compared[name]))
	}
	root := realPrometheus(t)
	fill(t, root, ours)
	end := start.Add(2 * time.Hour)
	spans := []url.Values{
		{"start": {at(-time.Minute)}, "end": {at(125 * time.Minute)}, "step": {"30"}},
		{"start": {at(0)}, "end": {at(time.Hour)}, "step": {"15"}, "lookback_delta": {"30"}},
		{"start": {at(7 * time.Second)}, "end": {at(time.Hour)}, "step": {"17s"}, "lookback_delta": {"45.5"}},
		{"start": {at(time.Hour)}, "end": {at(time.Hour)}, "step": {"1"}, "lookback_delta": {"1m"}, "limit": {"1"}},
		{"start": {at(30 * time.Minute)}, "end": {at(50 * time.Minute)}, "step": {"2m"}, "lookback_delta": {"0.001"}},
	}
	asked, withValues := 0, 0
	for _, question := range questions {
		forms := map[string][]url.Values{"/api/v1/query_range": {}, "/api/v1/query": {}}
		for _, s := range spans {
			s = maps.Clone(s)
			s.Set("query", question)
			forms["/api/v1/query_range"] = append(forms["/api/v1/query_range"], s)
		}
		for _, when := range []string{at(0), at(33 * time.Minute), end.Format(time.RFC3339)} {
			forms["/api/v1/query"] = append(forms["/api/v1/query"], url.Values{"query": {question}, "time": {when}})
		}
		for path, all := range forms {
			for _, form := range all {
				theirs, here := askReal(t, root+path, form), askOurs(t, ours, path, form)
				require.Equal(t, theirs, here, "%s %s", path, form)
				asked++
				if bytes.Contains([]byte(theirs), []byte(`"metric"`)) {
					withValues++
				}
			}
		}
	}
	require.Greater(t, withValues, asked/2)
	t.Logf("%d questions, %d with values", asked, withValues)
}

// realPrometheus is one without anything to scrape that lets samples be written to it. (What a backfill reads, OpenMetrics,
// has no stale markers.)
func realPrometheus(t *testing.T) string {
	config := filepath.Join(t.TempDir(), "prometheus.yml")
	require.NoError(t, os.WriteFile(config, []byte("global: {evaluation_interval: 30s}\n"), 0o600))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	said := &bytes.Buffer{}
	cmd := exec.Command(actiontest.Neighbour(t, "prometheus"), "--config.file="+config, "--storage.tsdb.path="+t.TempDir(),
		"--storage.tsdb.retention.time=10y", "--web.enable-remote-write-receiver", "--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = said, said
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		t.Log("it ended: ", cmd.Wait())
	})
	require.Eventually(t, func() bool {
		resp, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}, 30*time.Second, 20*time.Millisecond)
	return "http://" + address
}

// fill writes all samples by remote write: protobuf, laid out by hand, in snappy's block format.
func fill(t *testing.T, root string, s *Server) {
	request := []byte{}
	for _, key := range slices.Sorted(maps.Keys(s.memory.byKey)) {
		e, one := s.memory.byKey[key], []byte{}
		e.lset.Range(func(l labels.Label) {
			one = message(one, 1, message(message(nil, 1, []byte(l.Name)), 2, []byte(l.Value)))
		})
		for _, r := range e.runs {
			for i := range r.n {
				written := binary.LittleEndian.AppendUint64([]byte{1<<3 | 1}, math.Float64bits(r.at(i).f))
				one = message(one, 2, binary.AppendUvarint(append(written, 2<<3), uint64(r.time(i))))
			}
		}
		request = message(request, 1, one)
	}
	body := binary.AppendUvarint(nil, uint64(len(request)))
	for part := range slices.Chunk(request, 1<<16) {
		body = append(binary.LittleEndian.AppendUint16(append(body, 61<<2), uint16(len(part)-1)), part...)
	}
	post, err := http.NewRequestWithContext(t.Context(), http.MethodPost, root+"/api/v1/write", bytes.NewReader(body))
	require.NoError(t, err)
	post.Header.Set("Content-Type", "application/x-protobuf")
	post.Header.Set("Content-Encoding", "snappy")
	answer, err := http.DefaultClient.Do(post)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, answer.StatusCode, "%s", text)
}

func message(to []byte, number uint64, content []byte) []byte {
	to = binary.AppendUvarint(to, number<<3|2)
	return append(binary.AppendUvarint(to, uint64(len(content))), content...)
}

func askReal(t *testing.T, address string, form url.Values) string {
	answer, err := http.PostForm(address, form)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return readable(t, answer.StatusCode, body)
}

func askOurs(t *testing.T, s *Server, path string, form url.Values) string {
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path+"?"+form.Encode(), nil))
	return readable(t, answer.Code, answer.Body.Bytes())
}

// readable writes an answer so that two can be compared: numbers in one notation, and in order what has none (the series of
// a vector, and warnings).
func readable(t *testing.T, status int, body []byte) string {
	var said struct {
		Status, ErrorType, Error string
		Warnings, Infos          []string
		Data                     struct {
			ResultType string
			Result     json.RawMessage
		}
	}
	require.NoError(t, json.Unmarshal(body, &said), "%s", body)
	slices.Sort(said.Warnings)
	slices.Sort(said.Infos)
	text := fmt.Sprintf("%d %s %s %s %q %q %s\n", status, said.Status, said.ErrorType, said.Error, said.Warnings, said.Infos, said.Data.ResultType)
	var found []struct {
		Metric map[string]string `json:"metric"`
		Value  []any             `json:"value"`
		Values [][]any           `json:"values"`
	}
	if json.Unmarshal(said.Data.Result, &found) != nil {
		return text + string(said.Data.Result)
	}
	rows := []string{}
	for _, f := range found {
		row := `"metric" ` + set(f.Metric)
		for _, v := range append(f.Values, f.Value) {
			if len(v) == 2 {
				number, err := strconv.ParseFloat(v[1].(string), 64)
				require.NoError(t, err)
				row += fmt.Sprintf(" %v@%.3f", number, v[0])
			}
		}
		rows = append(rows, row)
	}
	if said.Data.ResultType == "vector" {
		slices.Sort(rows)
	}
	return text + fmt.Sprint(rows)
}
