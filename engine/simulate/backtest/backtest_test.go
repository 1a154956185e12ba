package backtest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"astern.dev/astern/actions/all"
	"astern.dev/astern/actions/client"
	"astern.dev/astern/engine/incident"
	"astern.dev/astern/engine/plan"
	"astern.dev/astern/engine/simulate/prom"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

var begin = time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)

// at is a moment of the past, such as 26h30m.
func at(since string) time.Time {
	d, err := model.ParseDuration(since)
	if err != nil {
		panic(err)
	}
	return begin.Add(time.Duration(d))
}

const ruleFile = `
groups:
  - name: shop
    rules:
      - rule: Errors
        when: alert.labels.alertname == "Errors"
        mode: auto
        for: 5m
        confirm:
          - {query: 'errors{service="${target.name}"}', holds: value > 0.01}
        do: rollback
`

const targetFile = `
classes:
  - name: web
    procedure: back
    healthy: {for: 1m, all: [{query: 'errors{service="${target.name}"}', holds: value < 0.01}]}
targets:
  - {name: api, class: web, select: {service: api}, environment: production}
  - {name: cart, class: web, select: {service: cart}, environment: production}
`

const procedureFile = `
procedures:
  - name: back
    steps:
      - {name: look, uses: http/smoke, with: {base: "http://shop.test", checks: [{path: /, status: 200}]}}
`

func configuration(t testing.TB, ruleText string) *Configuration {
	t.Helper()
	registry, err := all.Registry()
	require.NoError(t, err)
	env, err := expr.NewEnv()
	require.NoError(t, err)
	set, found := rules.Load(env, map[string][]byte{"rules.yaml": []byte(ruleText)})
	require.NoError(t, found.Err())
	book, found := plan.Load(env, registry, plan.Files{
		Targets: map[string][]byte{"targets.yaml": []byte(targetFile)}, Procedures: map[string][]byte{"procedures.yaml": []byte(procedureFile)},
	})
	require.NoError(t, found.Err())
	return &Configuration{Registry: registry, Rules: set, Book: book, Digest: "d"}
}

// withTargets is the configuration with other targets.
func withTargets(t testing.TB, text string) *Configuration {
	c := configuration(t, ruleFile)
	env, err := expr.NewEnv()
	require.NoError(t, err)
	book, found := plan.Load(env, c.Registry, plan.Files{
		Targets: map[string][]byte{"targets.yaml": []byte(text)}, Procedures: map[string][]byte{"procedures.yaml": []byte(procedureFile)},
	})
	require.NoError(t, found.Err())
	c.Book = book
	return c
}

// server is a Prometheus with a past, and counts what it is asked.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
	// bend may answer in its place.
	bend func(w http.ResponseWriter, r *http.Request) bool
}

func serve(t *testing.T, series map[string]string) *server {
	t.Helper()
	p := prom.New(prom.Options{Start: begin, Interval: 15 * time.Second})
	for name, values := range series {
		require.NoError(t, p.Load(name, values))
	}
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.URL.Query().Get("query"))
		bend := s.bend
		s.mu.Unlock()
		if bend == nil || !bend(w, r) {
			p.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) count(part string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, q := range s.asked {
		if strings.Contains(q, part) {
			n++
		}
	}
	return n
}

func (s *server) options(t *testing.T, since, until string) Options {
	t.Helper()
	return options(t, s.URL, since, until)
}

var allowHere = client.NewDialer([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})

func options(t testing.TB, url, since, until string) Options {
	t.Helper()
	through, err := client.NewHTTP(client.HTTPConfig{Timeout: 20 * time.Second, MaxAnswer: 64 << 20, Tries: 1}, allowHere)
	require.NoError(t, err)
	return Options{URL: url, HTTP: through, Since: at(since), Until: at(until), Parallel: 2}
}

func judge(t *testing.T, o Options, from Sources, c *Configuration) (*History, *Report) {
	t.Helper()
	h, err := Read(t.Context(), o, from, c)
	require.NoError(t, err)
	r, err := Run(t.Context(), h, c, "")
	require.NoError(t, err)
	return h, r
}

// per is samples every 15 s: how many fit into a time.
func per(d string) string {
	return strconv.Itoa(int(at(d).Sub(begin) / (15 * time.Second)))
}

// aDay is one day: v1 runs, v2 comes at 10:00, errors from 10:10, the alert from 10:11 to 10:41, and people move back at 10:27.
func aDay() map[string]string {
	return map[string]string{
		`up{job="shop"}`: "1x" + per("24h"),
		`build_info{service="api",version="v1",instance="a"}`:                      "1x" + per("10h2m") + " stale _x" + per("24m") + " 1x" + per("10h"),
		`build_info{service="api",version="v2",instance="b"}`:                      "_x" + per("10h") + " 1x" + per("28m") + " stale",
		`errors{service="api"}`:                                                    "0x" + per("10h9m45s") + " 0.03x" + per("31m") + " 0x" + per("13h"),
		`ALERTS{alertname="Errors",alertstate="firing",service="api",level="bad"}`: "_x" + per("10h11m") + " 1x" + per("30m") + " stale",
	}
}

func releasesShown(all []Release) []string {
	var lines []string
	for _, r := range all {
		lines = append(lines, fmt.Sprint(r.Version, " ", r.Before))
	}
	return lines
}

func TestADay(t *testing.T) {
	s := serve(t, aDay())
	h, r := judge(t, s.options(t, "1h", "23h"), Sources{Mappings: DefaultMappings()}, configuration(t, ruleFile))
	require.Equal(t, 15*time.Second, h.Step)
	require.Len(t, h.Episodes, 1)
	require.Equal(t, at("10h11m"), h.Episodes[0].From)
	require.Equal(t, at("10h41m15s"), h.Episodes[0].To)
	require.Equal(t, map[string]string{"alertname": "Errors", "service": "api", "level": "bad"}, h.Episodes[0].Labels)
	require.Equal(t, []string{"v1 true", "v2 false", "v1 false"}, releasesShown(h.Releases))
	require.Equal(t, []time.Time{at("10h"), at("10h26m30s")}, []time.Time{h.Releases[1].At, h.Releases[2].At})
	require.Len(t, r.Cases, 1)
	c := r.Cases[0]
	require.Equal(t, WouldAct, c.Outcome, c.Reason)
	require.Equal(t, at("10h16m"), c.Act.At)
	require.Equal(t, []string{"v2", "v1"}, []string{c.Act.From, c.Act.To})
	require.Equal(t, incident.Right, c.Act.Label)
	require.Equal(t, []Values{{Query: `errors{service="api"}`, Least: 0.03, Most: 0.03, Points: 21}}, c.Act.Saw)
	require.Equal(t, 10*time.Minute+30*time.Second, c.Act.HeadStart)
	require.Empty(t, r.Missed)
	require.Empty(t, r.Silences)
}
