package incident_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

func shadowOf(facts ...incident.Fact) incident.Shadow {
	var s incident.Shadow
	for n, f := range facts {
		e := incident.NewEvent(epoch.Add(time.Duration(n)*time.Minute), "sre", "", f)
		e.Version = n + 1
		s = incident.ApplyShadow(s, e)
	}
	return s
}

func judgedAs(rule string, verdict, would incident.Verdict, refusing ...string) incident.Judged {
	j := incident.Judgement{Verdict: verdict, Would: would, Findings: []incident.Finding{{Guard: "stop", Verdict: incident.Go}}}
	for _, guard := range refusing {
		j.Findings = append(j.Findings, incident.Finding{Guard: guard, Verdict: would})
	}
	return incident.Judged{Rule: rule, Judgement: j, Plan: &incident.Plan{Hash: "h", From: incident.Release{Version: "v42"}, To: incident.Release{Version: "v41"}}}
}

var (
	begin = []incident.Fact{incident.Opened{ID: "api-1", Target: "api"},
		incident.AlertsSeen{Rule: "Errors", Alerts: []incident.Seen{{ID: "a", StartsAt: epoch}, {ID: "b", StartsAt: epoch.Add(-time.Minute)}, {ID: "c", StartsAt: epoch}}}}
	asked    = incident.Requested{Reason: "by hand"}
	wasMoved = incident.Marked{}
	ended    = incident.Ended{Phase: incident.Succeeded}
)

func TestWhatAnIncidentSaysOfItsRules(t *testing.T) {
	for name, c := range map[string]struct {
		facts       []incident.Fact
		acts, moves int
		healed      bool
	}{
		"three alerts and two judgements are one": {facts: []incident.Fact{judgedAs("Errors", incident.Watch, incident.Go), judgedAs("Errors", incident.Watch, incident.Go)}, acts: 1},
		"suggest":                                 {facts: []incident.Fact{judgedAs("Errors", incident.Tell, incident.Go)}, acts: 1},
		"it would have waited first":              {facts: []incident.Fact{judgedAs("Errors", incident.Watch, incident.Wait, "confirm"), judgedAs("Errors", incident.Watch, incident.Go)}, acts: 1},
		"it would only have waited":               {facts: []incident.Fact{judgedAs("Errors", incident.Watch, incident.Wait, "confirm")}},
		"it would have asked":                     {facts: []incident.Fact{judgedAs("Errors", incident.Watch, incident.Ask, "recent_change")}},
		"only its own record asks":                {facts: []incident.Fact{judgedAs("Errors", incident.Ask, incident.Ask, "score", "drill")}, acts: 1},
		"its record and another guard ask":        {facts: []incident.Fact{judgedAs("Errors", incident.Ask, incident.Ask, "score", "cooldown")}},
		"a yes of a person to what a guard asked": {facts: []incident.Fact{judgedAs("Errors", incident.Go, incident.Ask, "cooldown")}, acts: 1},
		"two rules":                               {facts: []incident.Fact{judgedAs("Errors", incident.Watch, incident.Go), judgedAs("Latency", incident.Tell, incident.Go)}, acts: 2},
		"astern acts and the target is healthy":   {facts: []incident.Fact{judgedAs("Errors", incident.Go, incident.Go), wasMoved, ended}, acts: 1, healed: true},
		"astern acts and the target is not":       {facts: []incident.Fact{judgedAs("Errors", incident.Go, incident.Go), wasMoved, incident.Ended{Phase: incident.Failed}}, acts: 1},
		"success without a move proves nothing":   {facts: []incident.Fact{judgedAs("Errors", incident.Go, incident.Go), ended}, acts: 1},
		"a person asks astern":                    {facts: []incident.Fact{judgedAs("Errors", incident.Tell, incident.Go), asked, judgedAs("", incident.Go, incident.Go), wasMoved, ended}, acts: 1, moves: 1},
		"a person asks and nothing is moved":      {facts: []incident.Fact{asked, judgedAs("", incident.Go, incident.Go)}},
	} {
		s := shadowOf(append(append([]incident.Fact{}, begin...), c.facts...)...)
		require.Len(t, s.Acts, c.acts, name)
		require.Len(t, s.Moves, c.moves, name)
		if c.acts > 0 {
			require.Equal(t, c.healed, s.Acts[0].Healed, name)
			require.Equal(t, "v42", s.Acts[0].Release, name)
			require.Equal(t, epoch.Add(-time.Minute), s.Acts[0].Began, name)
		}
		if c.moves > 0 {
			require.Equal(t, "v42", s.Moves[0].From)
			require.Equal(t, incident.Right, incident.LabelOf(s.Acts[0], s.Moves), name)
		}
	}
}

func TestTheLastMarkCounts(t *testing.T) {
	facts := append(append([]incident.Fact{}, begin...), judgedAs("Errors", incident.Watch, incident.Go), ended,
		incident.WouldActMarked{Rule: "Errors", Right: true, Reason: "x"}, incident.WouldActMarked{Rule: "Errors", Reason: "y"}, incident.WouldActMarked{Rule: "None", Right: true})
	s := shadowOf(facts...)
	require.Equal(t, incident.RuleMark{Rule: "Errors", By: "sre", Reason: "y", At: epoch.Add(5 * time.Minute)}, *s.Acts[0].Mark)
}

func TestWhichRuleAMarkMeans(t *testing.T) {
	one := shadowOf(append(append([]incident.Fact{}, begin...), judgedAs("Errors", incident.Watch, incident.Go))...)
	two := shadowOf(append(append([]incident.Fact{}, begin...), judgedAs("Errors", incident.Watch, incident.Go), judgedAs("Latency", incident.Tell, incident.Go))...)
	rule, err := one.Meant("")
	require.NoError(t, err)
	require.Equal(t, "Errors", rule)
	rule, err = two.Meant("Latency")
	require.NoError(t, err)
	require.Equal(t, "Latency", rule)
	_, err = two.Meant("")
	require.EqualError(t, err, "several rules would have acted in api-1: name one of Errors, Latency")
	_, err = one.Meant("Latency")
	require.EqualError(t, err, "rule Latency would not have acted in api-1; those that would: Errors")
	_, err = shadowOf(begin...).Meant("")
	require.EqualError(t, err, "no rule would have acted in api-1: there is nothing to mark")
}

func TestAShadowIsNotChanged(t *testing.T) {
	s := shadowOf(append(append([]incident.Fact{}, begin...), judgedAs("Errors", incident.Go, incident.Go), wasMoved)...)
	for _, f := range []incident.Fact{begin[1], ended, incident.WouldActMarked{Rule: "Errors", Right: true}} {
		e := incident.NewEvent(epoch.Add(time.Hour), "sre", "", f)
		e.Version = s.Version + 1
		incident.ApplyShadow(s, e)
	}
	require.False(t, s.Acts[0].Healed)
	require.Nil(t, s.Acts[0].Mark)
	require.Equal(t, epoch.Add(time.Minute), s.Matched["Errors"].Last)
}

func TestAPersonMovesBack(t *testing.T) {
	one := incident.RolledBack{Incident: "api-1", From: "v2", To: incident.Release{Version: "v1"}, At: epoch.Add(2 * time.Minute)}
	for name, c := range map[string]struct {
		told []incident.Fact
		want []string // from -> to
	}{
		"an older version again":                {[]incident.Fact{release("v1"), release("v2"), release("v1")}, []string{"v2>v1"}},
		"forwards":                              {[]incident.Fact{release("v1"), release("v2"), release("v3")}, nil},
		"the same version corrected":            {[]incident.Fact{release("v1"), release("v2"), release("v2")}, nil},
		"two versions back, and forth again":    {[]incident.Fact{release("v1"), release("v2"), release("v3"), release("v1"), release("v3")}, []string{"v3>v1", "v1>v3"}},
		"astern moved it, and CI tells it, too": {[]incident.Fact{release("v1"), release("v2"), one, release("v1")}, nil},
		"CI told it while astern's step ran":    {[]incident.Fact{release("v1"), release("v2"), release("v1"), one}, nil},
		"told late, before what ran since":      {[]incident.Fact{release("v1"), incident.ReleaseRecorded{Release: incident.Release{Version: "v0", At: epoch.Add(-time.Hour)}}}, nil},
	} {
		var got []string
		for _, b := range targetOf(c.told...).Backs {
			got = append(got, b.From+">"+b.To)
			require.Equal(t, "ci", b.By)
		}
		require.Equal(t, c.want, got, name)
	}
}
