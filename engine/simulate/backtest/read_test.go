package backtest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine/incident"
)

// A server that fails at one piece ends the reading with its name; nothing of it passes for silence.
func TestOnePieceCannotBeRead(t *testing.T) {
	for name, bend := range map[string]func(w http.ResponseWriter){
		"an error": func(w http.ResponseWriter) { http.Error(w, "down", http.StatusServiceUnavailable) },
		"an answer with a warning": func(w http.ResponseWriter) {
			_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "warnings": []string{"a store is away"},
				"data": map[string]any{"resultType": "matrix", "result": []any{}}})
		},
		"no JSON": func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) },
		"a refusal": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"status":"error","errorType":"bad_data","error":"no"}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, aDay())
			s.bend = func(w http.ResponseWriter, r *http.Request) bool {
				at := strings.HasPrefix(r.URL.Query().Get("query"), "timestamp(ALERTS") && r.URL.Query().Get("step") == "15" && hour(r.URL.Query()) == 6
				if at {
					bend(w)
				}
				return at
			}
			_, err := Read(t.Context(), s.options(t, "1h", "23h"), Sources{Mappings: DefaultMappings()}, configuration(t, ruleFile))
			var part *ReadError
			require.ErrorAs(t, err, &part)
			require.Equal(t, "alerts", part.What)
			require.Equal(t, at("6h"), part.From)
			require.ErrorContains(t, err, "read alerts from 2026-08-01T06:00:00Z to 2026-08-01T12:00:00Z: ")
		})
	}
}

func hour(form url.Values) int {
	var seconds float64
	_ = json.Unmarshal([]byte(form.Get("start")), &seconds)
	return time.Unix(int64(seconds), 0).UTC().Hour()
}

// What the server or the client finds too large is asked for in halves.
func TestTooMuchAtOnce(t *testing.T) {
	s := serve(t, aDay())
	var refused atomic.Int32 // asked side by side
	s.bend = func(w http.ResponseWriter, r *http.Request) bool {
		form := r.URL.Query()
		var from, to float64
		_ = json.Unmarshal([]byte(form.Get("start")), &from)
		_ = json.Unmarshal([]byte(form.Get("end")), &to)
		if !strings.Contains(form.Get("query"), "ALERTS") || to-from <= 3700 {
			return false
		}
		refused.Add(1)
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = w.Write([]byte(`{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory in query execution"}`))
		return true
	}
	h, err := Read(t.Context(), s.options(t, "1h", "23h"), Sources{}, configuration(t, ruleFile))
	require.NoError(t, err)
	require.Positive(t, refused.Load())
	require.Len(t, h.Episodes, 1)
	require.Equal(t, at("10h11m"), h.Episodes[0].From)
	require.Equal(t, at("10h41m15s"), h.Episodes[0].To)

	s = serve(t, aDay())
	o := s.options(t, "1h", "23h")
	o.HTTP, err = client.NewHTTP(client.HTTPConfig{MaxAnswer: 10_000, Tries: 1}, allowHere)
	require.NoError(t, err)
	h, err = Read(t.Context(), o, Sources{}, configuration(t, ruleFile))
	require.NoError(t, err)
	require.Len(t, h.Episodes, 1)
}

// What a rule asks while the past happens once more must be answered: an answer that is missing would look as if the
// confirmation had none.
func TestAQueryOfARuleIsNotAnswered(t *testing.T) {
	s := serve(t, aDay())
	h, err := Read(t.Context(), s.options(t, "1h", "23h"), Sources{Mappings: DefaultMappings()}, configuration(t, ruleFile))
	require.NoError(t, err)
	s.bend = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Query().Get("query"), "errors") {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return true
		}
		return false
	}
	_, err = Run(t.Context(), h, configuration(t, ruleFile), "")
	require.ErrorContains(t, err, "ask Prometheus what a rule asks: ")
	require.ErrorContains(t, err, "503")
}

func TestSilences(t *testing.T) {
	past := aDay()
	past[`up{job="shop"}`] = "1x" + per("10h20m") + " _x" + per("2m") + " 1x" + per("8h") + " _x" + per("2h") + " 1x" + per("10h")
	// Prometheus was away for two minutes while the alert fired: Alertmanager did not notice. Then for two hours.
	past[`ALERTS{alertname="Errors",alertstate="firing",service="api",level="bad"}`] =
		"_x" + per("10h11m") + " 1x" + per("9m") + " _x" + per("2m") + " 1x" + per("18m") + " stale _x" + per("7h40m") + " 1x" + per("2m15s")
	past[`ALERTS{alertname="Watchdog",alertstate="firing"}`] = "1x" + per("10h10m") + " stale _x" + per("40m") + " 1x" + per("12h")
	s := serve(t, past)
	h, r := judge(t, s.options(t, "1h", "23h"), Sources{Mappings: DefaultMappings()}, configuration(t, ruleFile))
	require.Len(t, h.Episodes, 2)
	require.Equal(t, at("10h11m"), h.Episodes[0].From)
	require.WithinDuration(t, at("10h41m"), h.Episodes[0].To, time.Minute)
	require.Equal(t, at("18h23m15s").Add(resolvesAfter), h.Episodes[1].To, "nobody told that it ended")
	require.Len(t, r.Silences, 1, "two minutes are not worth a word")
	require.Equal(t, 2*time.Hour, r.Silences[0].To.Sub(r.Silences[0].From).Truncate(time.Minute))
	require.Equal(t, "watchdog", r.Cases[0].Outcome, r.Cases[0].Reason)
}

// An alert that goes on for a day is followed for a while; what it comes to by then is told.
func TestAnAlertThatGoesOn(t *testing.T) {
	past := aDay()
	past[`errors{service="api"}`] = "0.001x" + per("24h")
	past[`ALERTS{alertname="Errors",alertstate="firing",service="api"}`] = "_x" + per("10h11m") + " 1x" + per("13h")
	delete(past, `ALERTS{alertname="Errors",alertstate="firing",service="api",level="bad"}`)
	s := serve(t, past)
	h, r := judge(t, s.options(t, "1h", "23h"), Sources{Mappings: DefaultMappings()}, configuration(t, ruleFile))
	require.True(t, h.Episodes[0].To.IsZero(), "it still fires at the end")
	require.Equal(t, 1, r.Long)
	require.Equal(t, "confirm", r.Cases[0].Outcome)
	require.Equal(t, at("16h11m"), r.Cases[0].Ended)
	o := s.options(t, "1h", "23h")
	o.Follow = 13 * time.Hour
	_, r = judge(t, o, Sources{Mappings: DefaultMappings()}, configuration(t, ruleFile))
	require.Zero(t, r.Long)
	require.Zero(t, r.Cases[0].Ended)
}

func TestEpisodes(t *testing.T) {
	past := aDay()
	of := `ALERTS{alertname="Errors",alertstate="firing",service="cart",n="%s"}`
	past[strings.Replace(of, "%s", "resolves and fires again", 1)] = "_x" + per("12h") + " 1x8 stale _x3 1x8 stale"
	past[strings.Replace(of, "%s", "one evaluation was missed", 1)] = "_x" + per("13h") + " 1x8 _x1 1x8 stale"
	past[strings.Replace(of, "%s", "one sample", 1)] = "_x" + per("14h") + " 1 stale"
	past[strings.Replace(of, "%s", "over the edge of a piece", 1)] = "_x" + per("17h55m") + " 1x40 stale"
	s := serve(t, past)
	h, err := Read(t.Context(), s.options(t, "10h20m", "23h"), Sources{}, configuration(t, ruleFile))
	require.NoError(t, err)
	var got []string
	for _, e := range h.Episodes {
		got = append(got, e.Labels["n"]+" "+e.From.Sub(begin).String()+" "+e.To.Sub(e.From).String())
	}
	require.Equal(t, []string{
		"resolves and fires again 12h0m0s 2m15s", "resolves and fires again 12h3m15s 2m15s", "one evaluation was missed 13h0m0s 4m45s",
		"one sample 14h0m0s 15s", "over the edge of a piece 17h55m0s 10m15s",
	}, got)
	require.Equal(t, 1, h.early, "what fired at the beginning has an unknown past")
}

func TestExternalLabels(t *testing.T) {
	s := serve(t, aDay())
	o := s.options(t, "1h", "23h")
	o.ExternalLabels = map[string]string{"cluster": "eu", "level": "of prometheus"}
	h, err := Read(t.Context(), o, Sources{}, configuration(t, strings.Replace(ruleFile, `== "Errors"`, `== "Errors" && alert.labels.cluster == "eu"`, 1)))
	require.NoError(t, err)
	require.Equal(t, map[string]string{"alertname": "Errors", "service": "api", "level": "bad", "cluster": "eu"}, h.Episodes[0].Labels, "an alert's own label wins")
}

// Alerts pass for those of the configured sender; a rule may ask for it.
func TestTheSender(t *testing.T) {
	s := serve(t, aDay())
	c := configuration(t, strings.Replace(ruleFile, `== "Errors"`, `== "Errors" && alert.source == "eu"`, 1))
	h, err := Read(t.Context(), s.options(t, "1h", "23h"), Sources{Mappings: DefaultMappings()}, c)
	require.NoError(t, err)
	for sender, matched := range map[string]int{"": 0, "eu": 1} {
		c.Sender = sender
		r, err := Run(t.Context(), h, c, "")
		require.NoError(t, err)
		require.Equal(t, matched, r.Rules[0].Score.WouldAct, sender)
	}
}

// Only the alerts that a rule can match are asked for, where the rules say which.
func TestWhichAlertsAreAskedFor(t *testing.T) {
	s := serve(t, aDay())
	_, err := Read(t.Context(), s.options(t, "1h", "23h"), Sources{}, configuration(t, ruleFile))
	require.NoError(t, err)
	require.Positive(t, s.count(`ALERTS{alertstate="firing",alertname=~"Errors"}`))
	require.Zero(t, s.count("kube_"), "a file tells of the releases, and no series is asked")
	_, err = Read(t.Context(), s.options(t, "1h", "23h"), Sources{}, configuration(t, strings.Replace(ruleFile, `alert.labels.alertname == "Errors"`, `alert.labels.level == "bad"`, 1)))
	require.NoError(t, err)
	require.Positive(t, s.count(`ALERTS{alertstate="firing",alertname!="Watchdog"}`))
	require.Equal(t, `ALERTS{alertstate="firing",alertname=~"a\\.b\\|c|d"}`, selector([]string{"a.b|c", "d"}))
}

func TestReleasesFile(t *testing.T) {
	for name, text := range map[string]string{
		"r.csv": "target,version,at,verdict,by,rolled_back,var.track\napi,v1,2026-08-01T00:00:00Z,,ci,,blue\napi,v2,2026-08-01T02:00:00+01:00,bad,ana,2026-08-01T01:30:00Z,green\napi,v3,,good,bo,,\n",
		"r.yaml": `releases:
  - {target: api, version: v1, at: 2026-08-01T00:00:00Z, by: ci, vars: {track: blue}}
  - {target: api, version: v2, at: "2026-08-01T02:00:00+01:00", verdict: bad, by: ana, rolled_back: 2026-08-01T01:30:00Z, vars: {track: green}}
  - {target: api, version: v3, verdict: good, by: bo}
`,
	} {
		t.Run(name, func(t *testing.T) {
			releases, words, err := ReadReleases(name, []byte(text))
			require.NoError(t, err)
			require.Equal(t, []Word{{"api", "v3", incident.Good, "bo"}, {"api", "v2", incident.Bad, "ana"}}, words)
			require.Len(t, releases, 3)
			require.Equal(t, Release{Target: "api", Release: incident.Release{Version: "v2", At: at("1h"), By: "ana", Verdict: incident.Bad, Vars: map[string]string{"track": "green"}}}, releases[1])
			require.Equal(t, Release{Target: "api", Release: incident.Release{Version: "v1", At: at("1h30m"), By: "ana", Vars: map[string]string{"track": "blue"}}}, releases[2])
		})
	}
	for text, want := range map[string]string{
		"target,vresion\n":                      "r.csv: there is no column \"vresion\"; the columns are target, version, at, verdict, by, rolled_back, var.NAME",
		"":                                      "r.csv: its first line must name the columns target, version, at: EOF",
		"target,version,at\napi,v1,yesterday\n": "r.csv:2: at: \"yesterday\" is not a time such as 2026-11-01T12:00:00Z",
		"target,version,at\napi,v1\n":           "r.csv: record on line 2: wrong number of fields",
		"target,version,at\n,v1,2026-08-01T00:00:00Z\n":                                     "r.csv:2: a release needs a target",
		"target,version,at\napi,,2026-08-01T00:00:00Z\n":                                    "r.csv:2: a release needs a version",
		"target,version,at\napi,v1,\n":                                                      "r.csv:2: a release needs the time when its rollout ended: at",
		"target,version,verdict\napi,v1,fine\n":                                             "r.csv:2: verdict \"fine\" is not good, bad, denied or unknown",
		"target,version,at,rolled_back\napi,v1,2026-08-01T00:00:00Z,2026-08-01T00:00:00Z\n": "r.csv:2: rolled_back must lie after at",
		"target,version,at,rolled_back\napi,v1,2026-08-01T00:00:00Z,2026-08-01T01:00:00Z\n": "r.csv:2: api v1 was rolled back, but nothing ran before it",
	} {
		_, _, err := ReadReleases("r.csv", []byte(text))
		require.EqualError(t, err, want)
	}
	_, _, err := ReadReleases("r.yaml", []byte("releases:\n  - {target: api, version: v1, at: 2026-08-01T00:00:00Z, verdit: good}\n"))
	require.ErrorContains(t, err, `unknown key "verdit"`)
	_, mistakes := ReadMappings("m.yaml", []byte("mappings:\n  - {name: x, query: y}\n"))
	require.ErrorContains(t, mistakes.Err(), `"version" is missing`)
}

// What may still change, and what another asker would be told, is asked again.
func TestWhatIsNotKept(t *testing.T) {
	s := serve(t, aDay())
	o := s.options(t, "0h", "18h")
	o.State, o.Settled, o.Asker = t.TempDir(), at("11h59m"), "tenant: a"
	asked := func(o Options) int {
		before := s.count(DefaultAlive)
		_, err := Read(t.Context(), o, Sources{}, configuration(t, ruleFile))
		require.NoError(t, err)
		return s.count(DefaultAlive) - before
	}
	require.Equal(t, 3, asked(o))
	require.Equal(t, 2, asked(o), "samples may still come to the second part, and the third")
	o.Settled = at("18h")
	require.Equal(t, 2, asked(o), "they are settled now, and kept")
	require.Zero(t, asked(o))
	o.Asker = "tenant: b"
	require.Equal(t, 3, asked(o), "another tenant sees something else")
}

func TestNothingIsLeftBehindByAnInterruptedWrite(t *testing.T) {
	dir := t.TempDir()
	p := &past{Options: Options{State: filepath.Join(dir, "not", "yet"), URL: "http://x"}}
	k := p.keepOf("alerts", "q", time.Minute, span{begin, begin.Add(chunkLong)})
	require.NoError(t, k.store([]int{1}))
	var got []int
	require.True(t, k.load(&got))
	require.Equal(t, []int{1}, got)
	entries, err := os.ReadDir(filepath.Join(dir, "not", "yet"))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	other := p.keepOf("alerts", "another", time.Minute, span{begin, begin.Add(chunkLong)})
	require.NoError(t, os.Rename(k.path, other.path))
	require.False(t, other.load(&got), "a file says what it holds")
}
