package incident_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"astern.dev/astern/engine/incident"
)

func anAct(change ...func(*incident.WouldAct)) incident.WouldAct {
	a := incident.WouldAct{Rule: "Errors", Target: "api", Incident: "api-1", Release: "v42", Began: epoch.Add(-5 * time.Minute), At: epoch}
	for _, c := range change {
		c(&a)
	}
	return a
}

func back(from string, after time.Duration) incident.MoveBack {
	return incident.MoveBack{Target: "api", From: from, To: "v41", By: "sre", At: epoch.Add(after)}
}

func markedAs(right bool) func(*incident.WouldAct) {
	return func(a *incident.WouldAct) { a.Mark = &incident.RuleMark{Right: right} }
}

func healed(a *incident.WouldAct) { a.Healed = true }

func TestWhatBecameOfAWouldAct(t *testing.T) {
	other := back("v42", time.Minute)
	other.Target = "web"
	for name, c := range map[string]struct {
		act  incident.WouldAct
		move incident.MoveBack
		want incident.Label
	}{
		"a person moved it back":                     {anAct(), back("v42", 2*time.Hour), incident.Right},
		"a person was quicker than the rule":         {anAct(), back("v42", -5*time.Minute), incident.Right},
		"but not before the alert":                   {anAct(), back("v42", -5*time.Minute-time.Second), incident.Unlabelled},
		"too late":                                   {anAct(), back("v42", 2*time.Hour+time.Second), incident.Unlabelled},
		"from another release":                       {anAct(), back("v43", time.Minute), incident.Unlabelled},
		"another target":                             {anAct(), other, incident.Unlabelled},
		"left untouched says nothing":                {anAct(), incident.MoveBack{}, incident.Unlabelled},
		"astern did and it was healthy":              {anAct(healed), incident.MoveBack{}, incident.Right},
		"marked right":                               {anAct(markedAs(true)), incident.MoveBack{}, incident.Right},
		"marked wrong":                               {anAct(markedAs(false)), incident.MoveBack{}, incident.Wrong},
		"a mark counts before a move":                {anAct(markedAs(false)), back("v42", time.Minute), incident.Wrong},
		"a mark counts before what astern thought":   {anAct(markedAs(false), healed), incident.MoveBack{}, incident.Wrong},
		"without a begin the judgement is the begin": {anAct(func(a *incident.WouldAct) { a.Began = time.Time{} }), back("v42", -time.Second), incident.Unlabelled},
	} {
		require.Equal(t, c.want, incident.LabelOf(c.act, []incident.MoveBack{c.move}), name)
	}
}

func TestScoresArePooledPerRuleOverItsTargets(t *testing.T) {
	web := anAct(markedAs(false), func(a *incident.WouldAct) { a.Target = "web" })
	other := anAct(func(a *incident.WouldAct) { a.Rule = "Latency" })
	scores := incident.RateRules([]incident.WouldAct{anAct(), web, other}, []incident.MoveBack{back("v42", time.Minute)})
	errors := scores["Errors"]
	require.Equal(t, []int{2, 1, 1, 2}, []int{errors.WouldAct, errors.Right, errors.Wrong, errors.Labelled()})
	require.Equal(t, 1, scores["Latency"].Right, "a move back may prove several rules right")
	require.Equal(t, incident.Score{WouldAct: 1, Low: 0, High: 1}, incident.Rate([]incident.WouldAct{other}, nil), "unlabelled: anything is possible")
}

func TestMissedIsWhatNoRuleWouldHaveStarted(t *testing.T) {
	moves := []incident.MoveBack{back("v42", time.Minute), back("v50", time.Minute), back("v50", time.Hour), back("v50", 5*time.Hour)}
	missed := incident.Missed([]incident.WouldAct{anAct(markedAs(false))}, moves)
	require.Equal(t, []incident.MoveBack{moves[1], moves[3]}, missed, "told twice within two hours is one")
}

// The values are those of the formula as published; 7/8 and 12/14 stand in many a table.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		k, n      int
		low, high float64
	}{
		{0, 0, 0, 1}, {0, 10, 0, 0.2775}, {10, 10, 0.7225, 1}, {7, 8, 0.5291, 0.9776}, {12, 14, 0.6006, 0.9599}, {7, 9, 0.4526, 0.9368}, {50, 100, 0.4038, 0.5962},
	} {
		low, high := incident.Wilson(c.k, c.n)
		require.InDelta(t, c.low, low, 0.00005, "%d/%d", c.k, c.n)
		require.InDelta(t, c.high, high, 0.00005, "%d/%d", c.k, c.n)
	}
}

func TestWilsonProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 2000).Draw(t, "n")
		k := rapid.IntRange(0, n).Draw(t, "k")
		low, high := incident.Wilson(k, n)
		p := float64(k) / float64(n)
		require.True(t, 0 <= low && low <= p && p <= high && high <= 1, "%d/%d: %v to %v", k, n, low, high)
		more, _ := incident.Wilson(k+1, n+1)
		require.GreaterOrEqual(t, more, low, "one more right never lowers the bound")
		less, _ := incident.Wilson(k, n+1)
		require.LessOrEqual(t, less, low, "one more wrong never raises it")
		mirrored, _ := incident.Wilson(n-k, n)
		require.InDelta(t, 1-high, mirrored, 1e-9)
		require.False(t, math.IsNaN(low+high))
	})
}

func TestScoreProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var acts []incident.WouldAct
		for range rapid.IntRange(0, 40).Draw(t, "acts") {
			a := anAct()
			switch rapid.IntRange(0, 3).Draw(t, "label") {
			case 0:
				markedAs(true)(&a)
			case 1:
				markedAs(false)(&a)
			case 2:
				healed(&a)
			}
			a.Release = fmt.Sprint("v", rapid.IntRange(40, 45).Draw(t, "release"))
			acts = append(acts, a)
		}
		moves := []incident.MoveBack{back("v42", time.Minute)}
		s := incident.Rate(acts, moves)
		require.LessOrEqual(t, s.Right, s.Labelled())
		require.LessOrEqual(t, s.Labelled(), s.WouldAct)
		if s.Labelled() > 0 {
			p := float64(s.Right) / float64(s.Labelled())
			require.True(t, s.Low <= p && p <= s.High)
		}
		better := incident.Rate(append(acts, anAct(markedAs(true))), moves)
		require.GreaterOrEqual(t, better.Low, s.Low)
		require.Equal(t, s.WouldAct+1, better.WouldAct)
	})
}

func TestAScoreInWords(t *testing.T) {
	score := func(right, wrong int) incident.Score {
		s := incident.Score{Right: right, Wrong: wrong}
		s.Low, s.High = incident.Wilson(right, right+wrong)
		return s
	}
	for _, c := range []struct {
		s               incident.Score
		says, lacksHalf string
	}{
		{score(0, 0), "none labelled", "none labelled; 10 labelled cases are needed"},
		{score(3, 1), "3 of 4 right", "3 of 4 right; 10 labelled cases are needed"},
		{score(7, 2), "7 of 9 right, at least 45 %", "7 of 9 right, at least 45 %; 10 labelled cases are needed"},
		{score(7, 3), "7 of 10 right, at least 39 %", "7 of 10 right, at least 39 %"},
		{score(9, 1), "9 of 10 right, at least 59 %", ""},
	} {
		require.Equal(t, c.says, c.s.Fraction())
		require.Equal(t, c.lacksHalf, c.s.Lacks(0.5))
	}
	require.NotEmpty(t, score(9, 1).Lacks(0.6))
	low, high := score(7, 1).Percent()
	require.Equal(t, []int{53, 98}, []int{low, high})
}
