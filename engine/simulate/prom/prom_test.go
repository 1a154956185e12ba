package prom

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// series are loaded in the order of their names.
type series map[string]string

func server(t *testing.T, opts Options, in series, rules string) *Server {
	t.Helper()
	opts.Start = start
	s := New(opts)
	for _, name := range slices.Sorted(maps.Keys(in)) {
		require.NoError(t, s.Load(name, in[name]))
	}
	require.NoError(t, s.Rules(map[string][]byte{"rules.yaml": []byte(rules)}))
	return s
}

// play evaluates group after group up to a time and tells what was sent.
func play(t *testing.T, s *Server, until time.Duration) []string {
	t.Helper()
	told := []string{}
	for due := s.Next(); !due.IsZero() && !due.After(start.Add(until)); due = s.Next() {
		alerts, err := s.Evaluate(t.Context(), due)
		require.NoError(t, err)
		for _, a := range alerts {
			told = append(told, due.Sub(start).String()+" "+line(a))
		}
	}
	return told
}

// news are the alerts that were not merely sent again.
func news(told []string) []string {
	return slices.DeleteFunc(told, func(line string) bool { return strings.HasSuffix(line, " again") })
}

func line(a Alert) string {
	state, end := "firing", " till "
	if a.Resolved {
		state, end = "resolved", " to "
	}
	text := state + " " + set(a.Labels) + " from " + a.StartsAt.Sub(start).String() + end + a.EndsAt.Sub(start).String()
	if len(a.Annotations) > 0 {
		text += " " + set(a.Annotations)
	}
	if !a.Fresh {
		text += " again"
	}
	return text
}

func set(labels map[string]string) string {
	parts := []string{}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, fmt.Sprintf("%s=%q", name, labels[name]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func lines(text string) []string {
	out := []string{}
	for l := range strings.Lines(text) {
		if l = strings.TrimSpace(l); l != "" {
			out = append(out, l)
		}
	}
	return out
}

func TestAlertsAreSentAsPrometheusSendsThem(t *testing.T) {
	for _, c := range []struct {
		name  string
		opts  Options
		in    series
		rules string
		until time.Duration
		all   bool // what is sent again too
		want  string
	}{
		{
			name: "for: 5m fires at 5m, and ends when the value falls", until: 20 * time.Minute,
			in:    series{`errors{service="a"}`: "0.03x9 0x50"},
			rules: `groups: [{name: g, rules: [{alert: Spike, expr: "errors > 0.02", for: 5m}]}]`,
			want: `5m0s firing {alertname="Spike",service="a"} from 5m0s till 9m0s
			       10m0s resolved {alertname="Spike",service="a"} from 5m0s to 10m0s`,
		}, {
			name: "not a second before", until: 5 * time.Minute, opts: Options{Interval: time.Second},
			in:    series{`errors`: "1x600"},
			rules: `groups: [{name: g, rules: [{alert: Spike, expr: "errors > 0.02", for: 5m}]}]`,
			want:  `5m0s firing {alertname="Spike"} from 5m0s till 9m0s`,
		}, {
			name: "a gap longer than the lookback begins anew", until: 20 * time.Minute,
			in:    series{`errors`: "1x2 _x5 1x20"},
			rules: `groups: [{name: g, rules: [{alert: Spike, expr: "errors > 0.02", for: 5m}]}]`,
			want: `5m0s firing {alertname="Spike"} from 5m0s till 9m0s
			       7m0s resolved {alertname="Spike"} from 5m0s to 7m0s
			       13m0s firing {alertname="Spike"} from 13m0s till 17m0s`,
		}, {
			name: "a stale series ends its alert at once", until: 20 * time.Minute,
			in:    series{`errors`: "1x2 stale"},
			rules: `groups: [{name: g, rules: [{alert: Spike, expr: "errors > 0.02"}]}]`,
			want: `0s firing {alertname="Spike"} from 0s till 4m0s
			       3m0s resolved {alertname="Spike"} from 0s to 3m0s`,
		}, {
			name: "NaN is above nothing", until: 20 * time.Minute,
			in:    series{`errors`: "NaN NaN NaN"},
			rules: `groups: [{name: g, rules: [{alert: Spike, expr: "errors > 0.02"}]}]`,
		}, {
			name: "keep_firing_for bridges a dip and delays the end", until: 20 * time.Minute,
			in:    series{`errors`: "1x2 0x1 1x2 0x20"},
			rules: `groups: [{name: g, rules: [{alert: Spike, expr: "errors > 0.02", keep_firing_for: 4m}]}]`,
			want: `0s firing {alertname="Spike"} from 0s till 4m0s
			       12m0s resolved {alertname="Spike"} from 0s to 12m0s`,
		}, {
			name: "what fires, and what ended, is sent again", until: 8 * time.Minute, all: true,
			in:    series{`errors`: "1x4 0x20"},
			rules: `groups: [{name: g, rules: [{alert: Spike, expr: "errors > 0.02"}]}]`,
			want: `0s firing {alertname="Spike"} from 0s till 4m0s
			       2m0s firing {alertname="Spike"} from 0s till 6m0s again
			       4m0s firing {alertname="Spike"} from 0s till 8m0s again
			       5m0s resolved {alertname="Spike"} from 0s to 5m0s
			       7m0s resolved {alertname="Spike"} from 0s to 5m0s again`,
		}, {
			name: "recording rules feed each other in one evaluation", until: 7 * time.Minute,
			in: series{`errors_total{service="a"}`: "0+6x20", `requests_total{service="a"}`: "0+60x20"},
			rules: `
groups:
- name: g
  rules:
  - {record: "e:rate1m", expr: "rate(errors_total[2m])"}
  - {record: "r:rate1m", expr: "rate(requests_total[2m])"}
  - {record: "ratio", expr: "e:rate1m / r:rate1m"}
  - {alert: Spike, expr: "ratio > 0.05", for: 2m, annotations: {summary: "{{ $labels.service }} at {{ $value | humanizePercentage }}, {{ query \"r:rate1m\" | first | value }} rps"}}`,
			want: `3m0s firing {alertname="Spike",service="a"} from 3m0s till 7m0s {summary="a at 10%, 1 rps"}`,
		}, {
			name: "external labels fill in, and templates know them", until: 0,
			opts: Options{ExternalLabels: map[string]string{"cluster": "eu", "service": "x"}},
			in:   series{`errors{service="a"}`: "1x4"},
			rules: `groups: [{name: g, labels: {team: shop}, rules: [{alert: Spike, expr: "errors > 0.02", labels: {severity: "{{ if gt $value 0.5 }}page{{ end }}"},
				annotations: {in: "{{ $externalLabels.cluster }} {{ $externalURL }}"}}]}]`,
			want: `0s firing {alertname="Spike",cluster="eu",service="a",severity="page",team="shop"} from 0s till 4m0s {in="eu http://prometheus:9090"}`,
		}, {
			name: "groups keep their own intervals; one rule's alerts come in the order of their labels", until: 4 * time.Minute,
			in: series{`errors{s="b"}`: "1x4", `errors{s="a"}`: "1x4", `errors{s="c"}`: "1x4"},
			rules: `groups: [{name: z, interval: 3m, rules: [{alert: Slow, expr: "sum(errors) > 0", for: 1s}]},
				{name: a, interval: 90s, rules: [{alert: Fast, expr: "errors > 0", for: 1s}]}]`,
			want: `1m30s firing {alertname="Fast",s="a"} from 1m30s till 7m30s
				1m30s firing {alertname="Fast",s="b"} from 1m30s till 7m30s
				1m30s firing {alertname="Fast",s="c"} from 1m30s till 7m30s
				3m0s firing {alertname="Slow"} from 3m0s till 15m0s`,
		}, {
			name: "ALERTS is there to be asked", until: 5 * time.Minute,
			in: series{`errors`: "1x9"},
			rules: `groups: [{name: g, rules: [{alert: Spike, expr: "errors > 0", for: 2m},
				{alert: Also, expr: "ALERTS{alertname=\"Spike\",alertstate=\"firing\"}"}]}]`,
			want: `2m0s firing {alertname="Spike"} from 2m0s till 6m0s
				2m0s firing {alertname="Also",alertstate="firing"} from 2m0s till 6m0s`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			told := play(t, server(t, c.opts, c.in, c.rules), c.until)
			if !c.all {
				told = news(told)
			}
			require.Equal(t, lines(c.want), told)
		})
	}
}

func TestEvaluateCatchesUp(t *testing.T) {
	rules := `groups: [{name: g, rules: [{alert: Spike, expr: "errors > 0.02", for: 5m}]}]`
	step := play(t, server(t, Options{}, series{"errors": "1x9 0x9"}, rules), 15*time.Minute)
	s, told := server(t, Options{}, series{"errors": "1x9 0x9"}, rules), []string{}
	alerts, err := s.Evaluate(t.Context(), start.Add(15*time.Minute+time.Second))
	require.NoError(t, err)
	for _, a := range alerts {
		told = append(told, line(a))
	}
	require.Len(t, told, len(step))
	for i := range step {
		require.Contains(t, step[i], told[i])
	}
	require.Equal(t, start.Add(16*time.Minute), s.Next())
	alerts, err = s.Evaluate(t.Context(), start.Add(15*time.Minute+2*time.Second))
	require.NoError(t, err)
	require.Empty(t, alerts, "nothing was due")
}

func TestMistakesInRuleFilesComeAtOnce(t *testing.T) {
	s := New(Options{Start: start})
	err := s.Rules(map[string][]byte{
		"b.yaml":  []byte("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up >\n  - {record: 'x', expr: 'sum by (a', for: 1m}\n"),
		"a.yaml":  []byte("groups: [{name: g, rools: []}]"),
		"ok.yaml": []byte("groups: [{name: g, rules: [{alert: A, expr: up}]}]"),
	})
	require.EqualError(t, err, `a.yaml: yaml: unmarshal errors:
  line 1: field rools not found in type rulefmt.RuleGroup
b.yaml: 5:11: group "g", rule 1, "A": could not parse expression: 1:5: parse error: unexpected end of input
b.yaml: 6:25: group "g", rule 2, "x": could not parse expression: 1:10: parse error: unclosed left parenthesis
b.yaml: 6:14: group "g", rule 2, "x": invalid field 'for' in recording rule`)
	require.Zero(t, s.Next())
	require.NoError(t, s.Rules(map[string][]byte{"empty.yaml": nil}))
	require.Zero(t, s.Next())
}

func TestARuleThatCannotBeEvaluatedIsNamed(t *testing.T) {
	s := server(t, Options{}, series{`a{x="1"}`: "1x9", `a{x="2"}`: "1x9", "b": "1x9"},
		`groups: [{name: g, rules: [{record: r, expr: "a / on() b"}, {record: r2, expr: "b / on() a"}, {alert: B, expr: b}]}]`)
	alerts, err := s.Evaluate(t.Context(), start)
	require.EqualError(t, err, `rules.yaml: group "g", rule "r" at 2026-03-01T09:00:00Z: multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)
rules.yaml: group "g", rule "r2" at 2026-03-01T09:00:00Z: found duplicate series for the match group {} on the right hand-side of the operation: [{__name__="a", x="1"}, {__name__="a", x="2"}];many-to-many matching not allowed: matching labels must be unique on one side`)
	require.Len(t, alerts, 1, "the others are evaluated all the same")
}

func TestLoadRefuses(t *testing.T) {
	s := New(Options{})
	require.NoError(t, s.Load("up", "1"))
	require.EqualError(t, s.Load("up", "0"), "series up: is there already")
	require.EqualError(t, s.Load(`{a="b"}`, "0"), `series {a="b"}: has no metric name`)
	require.ErrorContains(t, s.Load(`up{`, "0"), `series up{: 1:5: parse error`)
	require.ErrorContains(t, s.Load("down", "0 high"), `series down: 1:8: parse error`)
}

func TestReloadKeepsWhatIsPending(t *testing.T) {
	s := server(t, Options{}, series{"errors": "1x20"}, `groups: [{name: g, rules: [{alert: Spike, expr: "errors > 0", for: 5m}]}]`)
	require.Empty(t, play(t, s, 3*time.Minute))
	require.NoError(t, s.Rules(map[string][]byte{"rules.yaml": []byte(`groups: [{name: g, rules: [{alert: Spike, expr: "errors > 0", for: 4m}, {alert: New, expr: "errors > 0", for: 2m}]}]`)}))
	require.Equal(t, lines(`4m0s firing {alertname="Spike"} from 4m0s till 8m0s
		6m0s firing {alertname="New"} from 6m0s till 10m0s`), news(play(t, s, 7*time.Minute)))
}

func TestTwoRunsAreEqual(t *testing.T) {
	told := [2][]string{}
	for n := range told {
		in := series{}
		for i := range 50 {
			in[fmt.Sprintf(`errors{s="%d"}`, i)] = "0.1x3 0.7x3 0x9"
		}
		told[n] = play(t, server(t, Options{}, in, `groups: [{name: g, rules: [{alert: Spike, expr: "errors > 0"}, {alert: Sum, expr: "sum(errors) > 0", annotations: {v: "{{ $value }}"}}]}]`), 30*time.Minute)
	}
	require.Equal(t, told[0], told[1])
	require.Greater(t, len(told[0]), 100)
}

// Whoever holds the clock may ask the server while another asks at the door.
func TestTheClockIsReadOutside(t *testing.T) {
	s := New(Options{})
	s.opts.Now = func() time.Time { return s.Next() }
	require.Empty(t, s.Active())
	require.NoError(t, s.Rules(nil))
	s.SetDown(true)
	answer := httptest.NewRecorder()
	s.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/query?query=1", nil))
	require.Equal(t, http.StatusServiceUnavailable, answer.Code)
}

func TestTheGridKeepsToTheInterval(t *testing.T) {
	for _, c := range []struct {
		interval, scrape, step time.Duration
		per                    int
	}{
		{0, 0, time.Minute, 1}, {time.Minute, 15 * time.Second, 15 * time.Second, 4}, {15 * time.Second, time.Minute, 15 * time.Second, 1},
		{time.Minute, 14 * time.Second, 12 * time.Second, 5}, {7 * time.Second, 3 * time.Second, 1750 * time.Millisecond, 4},
	} {
		step, per := New(Options{Interval: c.interval, Scrape: c.scrape}).grid()
		require.Equal(t, c.step.Milliseconds(), step)
		require.Equal(t, c.per, per)
	}
}
