package incident

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Guards are the bounds that rules, targets, classes, teams and the installation may write.
// A bound that is not written leaves the word to the next level.
type Guards struct {
	Cooldown        Bound[time.Duration] // S10: after an executed procedure
	RecentChange    Bound[time.Duration] // S13: how long before the alert the rollout may have ended
	Flapping        Bound[Burst]         // S11: episodes of one rule and target
	ChangingAtOnce  Bound[int]           // S9: procedures that change at the same time
	MaxPerHour      Bound[int]           // S9
	MaxPerDay       Bound[int]           // S9
	MassEvent       Bound[Burst]         // S8: targets that want action
	ApprovalOffered Bound[time.Duration] // S21: how long an offer stands
	ApprovalGood    Bound[time.Duration] // S21: how long a given approval is good
	FreshEvidence   Bound[time.Duration] // S6: how old the last word that it fires may be
	Healthy         Bound[time.Duration] // S14: how long the destination must have run
	PlanAge         Bound[time.Duration] // S4: how old a plan may be when work resumes
	Watchdog        Bound[time.Duration] // S8, S25: how old the last Watchdog delivery may be
	Settle          Bound[time.Duration] // S8: how long a rule without `for` waits for others
	ChangedRule     Bound[time.Duration] // S20: how long a changed rule only suggests; no rule's own to say
	Score           Bound[float64]       // S20: the lower bound of being right that auto needs
	Drill           Bound[time.Duration] // S20: within which a rollback of the target must have succeeded for auto
}

// The guards that ask for a rule's own record.
const (
	ScoreGuard = "score"
	DrillGuard = "drill"
)

// Bound is one bound. Off means that a person switched the guard off in so many words.
type Bound[T any] struct {
	Written, Off bool
	Value        T
}

// Burst is a number of things within a time. Percent, when not zero, is a share that counts as well.
type Burst struct {
	Count   int
	Percent int
	Within  time.Duration
}

// Mass says whether so many targets of all are a mass event (S8); a share counts from three on.
func (b Burst) Mass(wanting, all int) bool {
	return wanting >= b.Count || b.Percent > 0 && wanting >= 3 && wanting*100 >= b.Percent*all
}

// DefaultGuards is what holds where nobody wrote anything else.
func DefaultGuards() Guards {
	return Guards{
		Cooldown: bound(time.Hour), RecentChange: bound(time.Hour), Flapping: bound(Burst{Count: 3, Within: 30 * time.Minute}),
		ChangingAtOnce: bound(1), MaxPerHour: bound(3), MaxPerDay: bound(10),
		MassEvent:       bound(Burst{Count: 5, Percent: 30, Within: 10 * time.Minute}),
		ApprovalOffered: bound(time.Hour), ApprovalGood: bound(5 * time.Minute), FreshEvidence: bound(5 * time.Minute),
		Healthy: bound(30 * time.Minute), PlanAge: bound(15 * time.Minute), Watchdog: bound(3 * time.Minute),
		Settle: bound(15 * time.Second), ChangedRule: bound(24 * time.Hour),
		Score: Bound[float64]{Written: true, Off: true}, Drill: Bound[time.Duration]{Written: true, Off: true},
	}
}

func bound[T any](v T) Bound[T] { return Bound[T]{Written: true, Value: v} }

// GuardError is one mistake in a map of guards.
type GuardError struct{ Name, Problem string }

func (e *GuardError) Error() string { return "guard " + e.Name + ": " + e.Problem }

// GuardsFrom reads guards as they are written in YAML: durations ("60m", "2d"), counts (3), bursts ("3 in 30m",
// "5 or 30% in 10m", or as maps: {episodes: 3, within: 30m}, {targets: 5, percent: 30, within: 10m}), and "off" where a
// guard may be switched off. The errors are sorted by name, one a guard.
func GuardsFrom(written map[string]any) (Guards, []*GuardError) {
	var g Guards
	var problems []*GuardError
	for _, name := range slices.Sorted(maps.Keys(written)) {
		read, known := g.readers()[name]
		if !known {
			problems = append(problems, &GuardError{name, "there is no guard of this name"})
			continue
		}
		text, err := guardText(written[name])
		if err == nil {
			err = read(strings.TrimSpace(text))
		}
		if err != nil {
			problems = append(problems, &GuardError{name, err.Error()})
		}
	}
	return g, problems
}

// guardText is a guard's value in one line.
func guardText(v any) (string, error) {
	m, isMap := v.(map[string]any)
	if !isMap {
		return fmt.Sprint(v), nil
	}
	for key := range m {
		if !slices.Contains([]string{"episodes", "targets", "percent", "within"}, key) {
			return "", fmt.Errorf("unknown key %q: a burst has episodes or targets, within, and for targets a percent", key)
		}
	}
	count, isCount := m["episodes"]
	if targets, ok := m["targets"]; ok && !isCount {
		count, isCount = targets, true
	}
	if _, ok := m["within"]; !ok || !isCount {
		return "", errors.New("a burst has episodes or targets, and within")
	}
	text := fmt.Sprint(count)
	if percent, ok := m["percent"]; ok {
		text += fmt.Sprintf(" or %v%%", percent)
	}
	return text + fmt.Sprintf(" in %v", m["within"]), nil
}

// GuardNames lists the guards that may be written, sorted.
func GuardNames() []string { return slices.Sorted(maps.Keys(new(Guards).readers())) }

// Merge is what holds when nearer and farther levels write: the nearer word wins, bound by bound.
// Counted limits hold at every level that writes them: ask each level for those.
func Merge(nearer Guards, farther ...Guards) Guards {
	g := nearer
	for _, f := range farther {
		g.Cooldown, g.RecentChange = g.Cooldown.or(f.Cooldown), g.RecentChange.or(f.RecentChange)
		g.Flapping, g.MassEvent = g.Flapping.or(f.Flapping), g.MassEvent.or(f.MassEvent)
		g.ChangingAtOnce = g.ChangingAtOnce.or(f.ChangingAtOnce)
		g.MaxPerHour, g.MaxPerDay = g.MaxPerHour.or(f.MaxPerHour), g.MaxPerDay.or(f.MaxPerDay)
		g.ApprovalOffered, g.ApprovalGood = g.ApprovalOffered.or(f.ApprovalOffered), g.ApprovalGood.or(f.ApprovalGood)
		g.FreshEvidence, g.Healthy = g.FreshEvidence.or(f.FreshEvidence), g.Healthy.or(f.Healthy)
		g.PlanAge, g.Watchdog, g.Settle = g.PlanAge.or(f.PlanAge), g.Watchdog.or(f.Watchdog), g.Settle.or(f.Settle)
		g.ChangedRule, g.Score, g.Drill = g.ChangedRule.or(f.ChangedRule), g.Score.or(f.Score), g.Drill.or(f.Drill)
	}
	return g
}

func (b Bound[T]) or(other Bound[T]) Bound[T] {
	if b.Written {
		return b
	}
	return other
}

func (g *Guards) readers() map[string]func(string) error {
	return map[string]func(string) error{
		"cooldown":            readDuration(&g.Cooldown, true),
		"recent_change":       readDuration(&g.RecentChange, true),
		"flapping":            readBurst(&g.Flapping, true),
		"changing_at_once":    readCount(&g.ChangingAtOnce),
		"max_per_hour":        readCount(&g.MaxPerHour),
		"max_per_day":         readCount(&g.MaxPerDay),
		"mass_event":          readBurst(&g.MassEvent, true),
		"approval_offered":    readDuration(&g.ApprovalOffered, false),
		"approval_good":       readDuration(&g.ApprovalGood, false),
		"fresh_evidence":      readDuration(&g.FreshEvidence, false),
		"destination_healthy": readDuration(&g.Healthy, true),
		"plan_age":            readDuration(&g.PlanAge, false),
		"watchdog":            readDuration(&g.Watchdog, true),
		"settle":              readDuration(&g.Settle, true),
		"changed_rule":        readDuration(&g.ChangedRule, true),
		"score":               readShare(&g.Score),
		"drill":               readDuration(&g.Drill, true),
	}
}

func readDuration(into *Bound[time.Duration], mayBeOff bool) func(string) error {
	return func(s string) error {
		if s == "off" && mayBeOff {
			*into = Bound[time.Duration]{Written: true, Off: true}
			return nil
		}
		d, err := guardDuration(s)
		if err != nil && mayBeOff {
			return fmt.Errorf("%w, or off", err)
		}
		if err != nil {
			return err
		}
		*into = bound(d)
		return nil
	}
}

func readCount(into *Bound[int]) func(string) error {
	return func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return fmt.Errorf("%q is not a count of 1 or more", s)
		}
		*into = bound(n)
		return nil
	}
}

// readShare reads a share such as 0.6; all or nothing are no demands that a record could ever meet or miss.
func readShare(into *Bound[float64]) func(string) error {
	return func(s string) error {
		if s == "off" {
			*into = Bound[float64]{Written: true, Off: true}
			return nil
		}
		share, err := strconv.ParseFloat(s, 64)
		if err != nil || !(share > 0 && share < 1) {
			return fmt.Errorf("%q is not a share between 0 and 1 such as 0.6, or off", s)
		}
		*into = bound(share)
		return nil
	}
}

func readBurst(into *Bound[Burst], mayBeOff bool) func(string) error {
	return func(s string) error {
		if s == "off" && mayBeOff {
			*into = Bound[Burst]{Written: true, Off: true}
			return nil
		}
		b, err := parseBurst(s)
		if err != nil {
			return err
		}
		*into = bound(b)
		return nil
	}
}

// parseBurst reads "3 in 30m" and "5 or 30% in 10m".
func parseBurst(s string) (Burst, error) {
	wrong := fmt.Errorf("%q is not a count within a time such as \"3 in 30m\", or off", s)
	many, within, ok := strings.Cut(s, " in ")
	if !ok {
		return Burst{}, wrong
	}
	count, share, shared := strings.Cut(many, " or ")
	var b Burst
	var err error
	if b.Count, err = strconv.Atoi(count); err != nil || b.Count < 1 {
		return Burst{}, wrong
	}
	if shared {
		b.Percent, err = strconv.Atoi(strings.TrimSuffix(share, "%"))
		if err != nil || !strings.HasSuffix(share, "%") || b.Percent < 1 || b.Percent > 100 {
			return Burst{}, wrong
		}
	}
	if b.Within, err = guardDuration(within); err != nil {
		return Burst{}, err
	}
	return b, nil
}

// guardDuration reads Go's durations and whole days; a guard of no time is no guard, so zero is refused.
func guardDuration(s string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is not a duration such as 30s, 60m or 2d", s)
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > 3650 {
			return 0, wrong
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return 0, wrong
	}
	return d, nil
}
