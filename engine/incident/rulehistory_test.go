package incident_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"astern.dev/astern/engine/incident"
)

const aDay = 24 * time.Hour

// loadedAs plays what was in force of one rule: "0h A, 2h B, 3h -" (not in the files), "4h waive B".
func loadedAs(t *testing.T, story string) incident.Installation {
	var events []incident.Event
	for part := range strings.SplitSeq(story, ", ") {
		words := strings.Fields(part)
		after, err := time.ParseDuration(words[0])
		require.NoError(t, err)
		var f incident.Fact = incident.RulesLoaded{Rules: []incident.RuleDigest{{Rule: "R", Digest: words[1]}}}
		switch words[1] {
		case "-":
			f = incident.RulesLoaded{Gone: []string{"R"}}
		case "waive":
			f = incident.RuleWaived{Rule: "R", Digest: words[2], Reason: "seen"}
		}
		e := incident.NewEvent(epoch.Add(after), "sre", "", f)
		e.Version = len(events) + 1
		events = append(events, e)
	}
	return incident.ReplayInstallation(events)
}

func TestAChangedRuleOnlySuggestsForADay(t *testing.T) {
	for _, c := range []struct {
		story, at, digest string
		until             string // "" when it is not held back
	}{
		{"0h A", "0h", "A", ""},                               // loaded for the first time
		{"0h A, 2h B", "3h", "B", "26h"},                      // changed
		{"0h A, 2h B", "25h59m", "B", "26h"},                  //
		{"0h A, 2h B", "26h", "B", ""},                        // the day is over
		{"0h A, 2h B, 3h A", "3h", "A", ""},                   // back to what ran before is no new change
		{"0h A, 2h B, 3h A, 4h B", "5h", "B", "28h"},          // and away again has its own day
		{"0h A, 2h B, 3h C", "4h", "C", "27h"},                // a change of a change
		{"0h A, 2h B, 3h C, 4h B", "5h", "B", "28h"},          // B never ran a whole day
		{"0h A, 2h B, 3h C, 4h A", "5h", "A", ""},             //
		{"0h A, 2h B, 30h C, 31h B", "31h", "B", ""},          // B ran a whole day: it is what ran before
		{"0h A, 2h B, 30h C, 31h A", "31h", "A", "55h"},       // and A no more
		{"0h A, 2h -, 3h A", "3h", "A", ""},                   // away for a while
		{"0h A, 2h -, 30h A", "31h", "A", ""},                 // away for long
		{"0h A, 2h -, 3h B", "4h", "B", "27h"},                // away, and back as another
		{"0h A, 2h B, 3h -, 20h B", "21h", "B", "44h"},        // what was away has not shown itself
		{"0h A, 2h B, 40h -, 41h B", "41h", "B", ""},          //
		{"0h A, 2h B, 3h waive B", "4h", "B", ""},             // a person's word
		{"0h A, 2h B, 3h waive B, 4h C", "5h", "C", "28h"},    // for one content alone
		{"0h A, 2h B, 3h waive B, 4h C, 5h B", "6h", "B", ""}, //
		{"0h A, 2h B, 3h waive B, 4h A", "5h", "A", ""},       //
		{"0h A", "1h", "X", "25h"},                            // not known to have come in force
		{"0h A, 0h A, 2h A", "3h", "A", ""},                   // told again
	} {
		after, err := time.ParseDuration(c.at)
		require.NoError(t, err)
		change, held := loadedAs(t, c.story).Rules["R"].Change(c.digest, epoch.Add(after), aDay)
		require.Equal(t, c.until != "", held, "%s at %s", c.story, c.at)
		if held {
			until, err := time.ParseDuration(c.until)
			require.NoError(t, err)
			require.Equal(t, epoch.Add(until), change.Until, "%s at %s", c.story, c.at)
			require.Equal(t, change.Until.Add(-aDay), change.At)
		}
	}
	_, held := incident.RuleHistory{}.Change("A", epoch, aDay)
	require.False(t, held, "a history from before rules were recorded")
}

func TestOnlyWhatChangesIsTold(t *testing.T) {
	i := loadedAs(t, "0h A")
	rules, gone := i.RulesSince(map[string]string{"R": "A"})
	require.Empty(t, rules)
	require.Empty(t, gone)
	rules, gone = i.RulesSince(map[string]string{"S": "B", "Q": "C"})
	require.Equal(t, []incident.RuleDigest{{Rule: "Q", Digest: "C"}, {Rule: "S", Digest: "B"}}, rules)
	require.Equal(t, []string{"R"}, gone)
	rules, gone = loadedAs(t, "0h A, 1h -").RulesSince(map[string]string{})
	require.Empty(t, rules)
	require.Empty(t, gone, "gone already")
}

func TestAnInstallationIsNotChanged(t *testing.T) {
	before := loadedAs(t, "0h A")
	for _, f := range []incident.Fact{
		incident.RulesLoaded{Rules: []incident.RuleDigest{{Rule: "R", Digest: "B"}}}, incident.RulesLoaded{Gone: []string{"R"}},
		incident.RuleWaived{Rule: "R", Digest: "A"}, incident.RulesErred{Rules: []incident.RuleError{{Rule: "R", Digest: "A", Error: "x"}}},
		incident.Stopped{Scope: "all"},
	} {
		e := incident.NewEvent(epoch.Add(time.Hour), "sre", "", f)
		e.Version = 2
		after := incident.ApplyInstallation(before, e)
		require.Equal(t, loadedAs(t, "0h A"), before, fmt.Sprintf("%T", f))
		require.NotEqual(t, before, after)
	}
}

func BenchmarkRulesOfAnInstallation(b *testing.B) {
	now := map[string]string{}
	var all []incident.RuleDigest
	for n := range 10_000 {
		r := incident.RuleDigest{Rule: fmt.Sprintf("Rule%d", n), Digest: fmt.Sprintf("%064d", n)}
		now[r.Rule], all = r.Digest, append(all, r)
	}
	i := incident.ReplayInstallation([]incident.Event{incident.NewEvent(epoch, "astern", "", incident.RulesLoaded{Rules: all})})
	for b.Loop() {
		rules, gone := i.RulesSince(now)
		if len(rules)+len(gone) > 0 {
			b.Fatal("nothing changed")
		}
	}
}
