package backtest

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/plan"
	"astern.dev/astern/rules"
	"astern.dev/astern/rules/expr"
)

// The story is ninety days of three services, and two configurations to try on them.
const storyDir = "testdata/story"

// stretch is one line of the past.
type stretch struct {
	series   string
	value    float64
	from, to time.Time
	every    time.Duration
}

func story(t testing.TB) []stretch {
	text, err := os.ReadFile(filepath.Join(storyDir, "past.txt"))
	require.NoError(t, err)
	var all []stretch
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		require.Len(t, words, 5, line)
		value, err := strconv.ParseFloat(words[1], 64)
		require.NoError(t, err)
		every, err := time.ParseDuration(words[4])
		require.NoError(t, err)
		all = append(all, stretch{words[0], value, at(words[2]), at(words[3]), every})
	}
	return all
}

// virtual is the past as series of the simulated Prometheus: every 15 s, and with the mark where a series goes.
func virtual(past []stretch) map[string]string {
	series, until := map[string]string{}, map[string]int{}
	for _, s := range past {
		slot := func(at time.Time) int { return int(at.Sub(begin) / (15 * time.Second)) }
		text := series[s.series]
		if gap := slot(s.from) - until[s.series]; gap > 0 {
			if text != "" {
				text, gap = text+" stale", gap-1
			}
			if gap > 0 {
				text += fmt.Sprintf(" _x%d", gap)
			}
		}
		text += fmt.Sprintf(" %gx%d", s.value, slot(s.to)-slot(s.from))
		series[s.series], until[s.series] = text, slot(s.to)+1
	}
	for name := range series {
		series[name] += " stale"
	}
	return series
}

func tried(t testing.TB, which string) *Configuration {
	c := configuration(t, ruleFile)
	env, err := expr.NewEnv()
	require.NoError(t, err)
	read := func(name string) map[string][]byte {
		text, err := os.ReadFile(filepath.Join(storyDir, which, name))
		require.NoError(t, err)
		return map[string][]byte{name: text}
	}
	var found expr.Diagnostics
	c.Rules, found = rules.Load(env, read("rules.yaml"))
	require.NoError(t, found.Err())
	c.Book, found = plan.Load(env, c.Registry, plan.Files{Targets: read("targets.yaml"), Procedures: read("procedures.yaml")})
	require.NoError(t, found.Err())
	return c
}

func storySources(t testing.TB) Sources {
	data, err := os.ReadFile(filepath.Join(storyDir, "words.csv"))
	require.NoError(t, err)
	told, words, err := ReadReleases("words.csv", data)
	require.NoError(t, err)
	require.Empty(t, told)
	return Sources{Mappings: DefaultMappings(), Words: words}
}

// summary is the report's cases in a line each.
func summary(r *Report) []string {
	var lines []string
	for _, c := range r.Cases {
		line := fmt.Sprintf("%s %s %s", c.Began.Sub(begin), c.Target, c.Outcome)
		if c.Act != nil {
			line += fmt.Sprintf(" at %s %s -> %s %q", c.Act.At.Sub(begin), c.Act.From, c.Act.To, c.Act.Label)
			if c.Act.Person != nil {
				line += fmt.Sprintf(" +%s", c.Act.HeadStart)
			}
			for _, v := range c.Act.Saw {
				line += fmt.Sprintf(" saw %g..%g/%d", v.Least, v.Most, v.Points)
			}
		}
		lines = append(lines, line)
	}
	return lines
}

var storyOutcome = []string{
	`130h10m0s api would_roll_back at 130h15m0s v2 -> v1 "right" +11m0s saw 0.03..0.03/21`,
	`488h25m0s cart would_roll_back at 488h30m0s v8 -> v7 "right" +9m0s saw 0.02..0.05/21`,
	`732h20m0s api would_roll_back at 732h25m0s v3 -> v1 "wrong" saw 0.02..0.02/21`,
	`966h10m0s pay destination`,
	`1209h10m0s cart confirm`,
	`1444h10m0s cart recent_change`,
	`1564h10m0s cart resolved`,
}

// tellsTheStory holds a report of the old configuration against the story.
func tellsTheStory(t *testing.T, h *History, r *Report) {
	t.Helper()
	require.Equal(t, 15*time.Second, h.Step)
	require.Equal(t, storyOutcome, summary(r))
	require.Equal(t, 8, r.Episodes, "one of them chose no target")
	require.Len(t, r.Strays, 1)
	require.Equal(t, 5, r.Releases, "v2, v8, v3, v9, v4")
	require.Len(t, r.Moves, 3)
	require.Len(t, r.Missed, 1)
	require.Equal(t, "api v4 v3", strings.Join([]string{r.Missed[0].Target, r.Missed[0].From, r.Missed[0].To}, " "))
	require.Len(t, r.Silences, 1)
	require.Equal(t, at("70d2h"), r.Silences[0].From)
	require.Equal(t, at("70d5h"), r.Silences[0].To)
	rule := r.Rules[0]
	require.Equal(t, []int{7, 3, 2, 1}, []int{rule.Matched, rule.Score.WouldAct, rule.Score.Right, rule.Score.Wrong})
	require.Equal(t, 10*time.Minute, *rule.HeadStart)
	require.Equal(t, 20.0, *r.FalsePer100)
}

func TestTheStory(t *testing.T) {
	s := serve(t, virtual(story(t)))
	before, after := tried(t, "old"), tried(t, "new")
	h, err := Read(t.Context(), s.options(t, "1d", "90d"), storySources(t), before, after)
	require.NoError(t, err)
	r, err := Run(t.Context(), h, before, "")
	require.NoError(t, err)
	tellsTheStory(t, h, r)
	golden(t, h, before, after)
	same, err := Compare(t.Context(), h, before, before, "")
	require.NoError(t, err)
	require.Zero(t, same.Changed)
	require.Empty(t, same.Changes)
}

// What was read is kept: a run that broke off reads only the rest, and the same again reads nothing.
func TestGoingOnWhereItWas(t *testing.T) {
	s := serve(t, virtual(story(t)))
	o, c := s.options(t, "1d", "22d"), tried(t, "old")
	o.State, o.Parallel = t.TempDir(), 1
	const answered = 30
	reads := 0
	s.bend = func(w http.ResponseWriter, r *http.Request) bool {
		if reads++; reads > answered {
			http.Error(w, "down", http.StatusServiceUnavailable)
		}
		return reads > answered
	}
	_, err := Read(t.Context(), o, storySources(t), c)
	var part *ReadError
	require.ErrorAs(t, err, &part, "what cannot be read is never a gap")
	require.Equal(t, at("1d").Add(answered*chunkLong), part.From)
	kept := func() []string {
		names, err := filepath.Glob(filepath.Join(o.State, "*"))
		require.NoError(t, err)
		return names
	}
	require.Len(t, kept(), answered)

	s.bend = nil
	const query = "max(timestamp(up))"
	before := s.count(query)
	_, r := judge(t, o, storySources(t), c)
	require.Equal(t, storyOutcome[:2], summary(r))
	require.Equal(t, 21*4-answered, s.count(query)-before, "only what had not been read")

	before = s.count(query) + s.count("timestamp(ALERTS")
	_, again := judge(t, o, storySources(t), c)
	require.Equal(t, r, again)
	require.Equal(t, 1, s.count(query)+s.count("timestamp(ALERTS")-before, "how often rules are evaluated")

	for _, name := range kept() {
		require.NoError(t, os.WriteFile(name, []byte(`{"version":1,`), 0o600))
	}
	_, again = judge(t, o, storySources(t), c)
	require.Equal(t, r, again, "a broken file is read anew")
}

// golden compares the Markdown of a difference with what is kept; ASTERN_UPDATE writes it anew.
func golden(t *testing.T, h *History, before, after *Configuration) {
	t.Helper()
	d, err := Compare(t.Context(), h, before, after, "")
	require.NoError(t, err)
	var got strings.Builder
	d.Markdown(&got)
	path := filepath.Join(storyDir, "diff.md")
	if os.Getenv("ASTERN_UPDATE") != "" {
		require.NoError(t, os.WriteFile(path, []byte(got.String()), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String())
}
