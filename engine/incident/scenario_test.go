package incident_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

// A scenario is a text file: the first line says in a sentence what it shows. Then each line is a fact ("AT FACT
// key=value …"), or a question with its answer: "phase …", "do …" (the commands, "-" for none), "reason …" (a part of
// it), "story N". Times are offsets from the start; a step ending in "!" changes the world.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { play(t, file) })
	}
}

var epoch = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

type player struct {
	t    *testing.T
	inc  incident.Incident
	line string
	args map[string]string
	log  []incident.Event
	// seenAt is a later time at which the incident is looked at.
	seenAt time.Time
}

func play(t *testing.T, file string) {
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	p := &player{t: t}
	lines := bufio.NewScanner(f)
	require.True(t, lines.Scan())
	require.True(t, strings.HasPrefix(lines.Text(), "# ") && strings.HasSuffix(lines.Text(), "."), "the first line is a sentence")
	for n := 2; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "  #")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		p.line = fmt.Sprintf("%s:%d: %s", file, n, text)
		p.do(text)
	}
	require.Equal(t, p.inc, incident.Replay(p.log), "replaying the history gives the same incident")
}

func (p *player) do(text string) {
	verb, rest, _ := strings.Cut(text, " ")
	switch verb {
	case "phase":
		require.Equal(p.t, rest, string(p.inc.Phase), p.line)
	case "reason":
		require.Contains(p.t, p.inc.Reason, rest, p.line)
	case "story":
		require.Equal(p.t, rest, strconv.Itoa(p.inc.Story), p.line)
	case "approval":
		plan := "-"
		if a := p.inc.Approval; a != nil {
			plan = a.Plan
		}
		require.Equal(p.t, rest, plan, p.line)
	case "lead":
		require.Equal(p.t, rest, p.inc.Lead, p.line)
	case "step":
		n, state, _ := strings.Cut(rest, " ")
		require.Equal(p.t, state, string(p.inc.Steps[atoi(n)].State), p.line)
	case "do":
		require.Equal(p.t, rest, p.commands(), p.line)
	case "look": // time passes and nobody says a word
		p.seenAt = epoch.Add(p.duration(rest))
	default:
		p.fact(verb, rest)
	}
}

func (p *player) commands() string {
	var keys []string
	for _, c := range incident.Decide(p.inc.At(p.seenAt)) {
		switch c := c.(type) {
		case incident.WakeAt:
			keys = append(keys, fmt.Sprintf("wake/%s@%s", c.On, c.At.Sub(epoch)))
		case incident.AskHealth:
			keys = append(keys, "health")
		case incident.End:
			keys = append(keys, "end/"+string(c.Phase))
		case incident.Judge:
			key := c.Key()
			if c.Again {
				key += "/again"
			}
			keys = append(keys, key)
		case incident.Send:
			key := c.Key()
			if c.InDoubt {
				key += "/in-doubt"
			}
			keys = append(keys, key)
		default:
			keys = append(keys, c.Key())
		}
	}
	if len(keys) == 0 {
		return "-"
	}
	return strings.Join(keys, " ")
}

func (p *player) fact(at, rest string) {
	name, rest, _ := strings.Cut(rest, " ")
	p.args = map[string]string{}
	for _, word := range strings.Fields(rest) {
		k, v, _ := strings.Cut(word, "=")
		p.args[k] = v
	}
	by := p.arg("by", "astern")
	e := incident.NewEvent(epoch.Add(p.duration(at)), by, "", p.build(name, epoch.Add(p.duration(at))))
	e.Version = p.inc.Version + 1
	before := p.inc
	p.seenAt = time.Time{}
	p.log = append(p.log, e)
	p.inc = incident.Apply(p.inc, e)
	require.Equal(p.t, before.Version+1, p.inc.Version, p.line)
}

func (p *player) build(name string, at time.Time) incident.Fact {
	step, attempt := atoi(p.arg("step", "0")), atoi(p.arg("attempt", "1"))
	switch name {
	case "opened":
		return incident.Opened{ID: "api-1", Target: "api", Environment: "production"}
	case "seen":
		return p.seen(at)
	case "resolved":
		return incident.AlertsEnded{Alerts: []incident.AlertEnd{{ID: p.arg("alert", "a1"), EndsAt: at}}}
	case "requested":
		return incident.Requested{Reason: "by hand"}
	case "judged":
		return p.judged(at)
	case "reconfigured":
		return incident.Reconfigured{Rules: []incident.Reconfiguration{{
			Rule: p.arg("rule", "R"), Gone: p.arg("gone", "") == "yes", Mode: incident.Mode(p.arg("mode", "auto")), For: p.duration(p.arg("for", "5m")),
		}}}
	case "approved":
		return incident.Approved{Plan: p.arg("plan", "P1"), Until: at.Add(p.duration(p.arg("good", "5m")))}
	case "declined":
		return incident.Declined{Reason: "no"}
	case "aborted":
		return incident.Aborted{Reason: "enough"}
	case "began":
		return incident.StepBegan{Step: step, Attempt: attempt}
	case "succeeded":
		return incident.StepSucceeded{Step: step, Attempt: attempt}
	case "erred":
		return incident.StepErred{Step: step, Attempt: attempt, Error: "broken", Permanent: p.arg("permanent", "") == "yes", RetryAt: at.Add(p.duration(p.arg("retry", "2s")))}
	case "unhappened":
		return incident.StepDidNotHappen{Step: step, Attempt: attempt, Reason: "not there"}
	case "doubted":
		return incident.StepDoubted{Step: step, Attempt: attempt, Reason: "no answer"}
	case "settled":
		return incident.StepSettled{Step: step, Done: p.arg("done", "") == "yes"}
	case "held":
		return incident.StepHeld{Step: step, Reason: p.arg("reason", "silenced"), RetryAt: at.Add(p.duration(p.arg("retry", "30s"))),
			Findings: []incident.Finding{{Guard: "guard", Verdict: incident.Verdict(p.arg("verdict", "hold")), Reason: p.arg("reason", "silenced")}}}
	case "repaired":
		return incident.StepRepaired{Step: step}
	case "marked":
		return incident.Marked{}
	case "labelled":
		return incident.WouldActMarked{Rule: p.arg("rule", "R"), Right: p.arg("right", "yes") == "yes", Reason: "seen"}
	case "health":
		return incident.HealthSeen{Good: p.arg("good", "yes") == "yes"}
	case "ended":
		return incident.Ended{Phase: incident.Phase(p.arg("phase", "succeeded")), Reason: "over"}
	default:
		return p.notice(name, at)
	}
}

func (p *player) notice(name string, at time.Time) incident.Fact {
	story := atoi(p.arg("story", "1"))
	switch name {
	case "owed":
		f := incident.NoticesOwed{Story: story}
		if id := p.arg("notice", ""); id != "" {
			f.Notices = []incident.NoticeOwed{{ID: id, To: id, Via: "slack", Updates: p.arg("updates", "yes") == "yes", Due: at.Add(p.duration(p.arg("due", "1m")))}}
		}
		return f
	case "sending":
		return incident.NoticeBegan{ID: p.arg("notice", "n1"), Story: story, Attempt: atoi(p.arg("attempt", "1"))}
	case "told":
		return incident.NoticeTold{ID: p.arg("notice", "n1"), Story: story, Ref: "ref"}
	case "untold":
		return incident.NoticeErred{ID: p.arg("notice", "n1"), Story: story, Error: "down", Permanent: p.arg("permanent", "") == "yes", RetryAt: at.Add(p.duration(p.arg("retry", "2s")))}
	case "overdue":
		return incident.NoticeOverdue{ID: p.arg("notice", "n1")}
	}
	require.FailNow(p.t, "unknown fact", p.line)
	return nil
}

func (p *player) seen(at time.Time) incident.Fact {
	starts := at
	if s := p.arg("starts", ""); s != "" {
		starts = epoch.Add(p.duration(s))
	}
	return incident.AlertsSeen{
		Rule: p.arg("rule", "R"), Mode: incident.Mode(p.arg("mode", "auto")), For: p.duration(p.arg("for", "5m")), Severity: p.arg("severity", ""),
		Alerts: []incident.Seen{{ID: p.arg("alert", "a1"), Source: "am", StartsAt: starts}},
	}
}

func (p *player) judged(at time.Time) incident.Fact {
	f := incident.Judged{
		Rule: p.arg("rule", "R"), Again: p.arg("again", "") == "yes", OfferedUntil: at.Add(time.Hour), HealthFor: p.duration(p.arg("health", "5m")), HealthPatience: 10 * time.Minute,
		Judgement: incident.Judgement{
			Verdict: incident.Verdict(p.arg("verdict", "go")), Mode: incident.Mode(p.arg("mode", "auto")),
			Would: incident.Verdict(p.arg("would", "")), Reason: p.arg("reason", "because"), RetryAt: at.Add(p.duration(p.arg("retry", "30s"))),
		},
	}
	if until := p.arg("until", ""); until != "" {
		f.Judgement.Until = epoch.Add(p.duration(until))
	}
	if g := p.arg("guard", ""); g != "" {
		f.Judgement.Findings = []incident.Finding{{Guard: g, Verdict: f.Judgement.Verdict, Reason: f.Judgement.Reason}}
	}
	if f.Rule == "request" {
		f.Rule = ""
	}
	if steps := p.arg("steps", "switch!,smoke"); steps != "none" {
		f.Plan = planOf(p.arg("plan", "P1"), steps, incident.OnFailure(p.arg("on_failure", "escalate")), at)
	}
	return f
}

func planOf(hash, steps string, onFailure incident.OnFailure, at time.Time) *incident.Plan {
	plan := &incident.Plan{Hash: hash, From: incident.Release{Version: "v2"}, To: incident.Release{Version: "v1"}, MadeAt: at}
	for name := range strings.SplitSeq(steps, ",") {
		changes := strings.HasSuffix(name, "!")
		plan.Steps = append(plan.Steps, incident.Step{
			Name: strings.TrimSuffix(name, "!"), Attempts: 2, OnFailure: onFailure, Change: incident.Change{Changes: changes},
		})
	}
	return plan
}

func (p *player) arg(key, otherwise string) string {
	if v, ok := p.args[key]; ok {
		return v
	}
	return otherwise
}

func (p *player) duration(s string) time.Duration {
	if s == "0" {
		return 0
	}
	d, err := time.ParseDuration(s)
	require.NoError(p.t, err, p.line)
	return d
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}
