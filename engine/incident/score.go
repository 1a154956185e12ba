package incident

import (
	"fmt"
	"math"
	"time"
)

// WouldAct is one case in which a rule would have acted, or did: an incident holds whatever fires of one target at the
// same time, so it is one for each incident and rule, however many alerts and notifications there were.
type WouldAct struct {
	Rule     string `json:"rule"`
	Target   string `json:"target"`
	Incident string `json:"incident,omitempty"`
	// Release is the version that was running.
	Release string `json:"release,omitempty"`
	// Began is when the rule's first alert began, At when the rule would have acted.
	Began time.Time `json:"began,omitzero"`
	At    time.Time `json:"at"`
	// Healed says that it was astern that moved the target, and that its health held afterwards.
	Healed bool `json:"healed,omitempty"`
	// Mark is a person's word, the last one when there are several.
	Mark *RuleMark `json:"mark,omitempty"`
}

// MoveBack is a target that a person moved from a release to an earlier one.
type MoveBack struct {
	Target string    `json:"target"`
	From   string    `json:"from"`
	To     string    `json:"to"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// RuleMark is a person's word on whether a rule was right to want to act.
type RuleMark struct {
	Rule   string    `json:"rule"`
	Right  bool      `json:"right"`
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
}

// The bounds of a score (S20).
const (
	// ScoreWindow is how far back a score looks.
	ScoreWindow = 30 * 24 * time.Hour
	// RightWithin is how soon after a would-act a person's move back from the same release says that it was right.
	RightWithin = 2 * time.Hour
	// LeastForPercent is how many labelled cases a percentage needs, LeastForReady how many a promotion needs.
	LeastForPercent = 5
	LeastForReady   = 10
	// DefaultScore is the lower bound that a promotion needs where a rule demands none.
	DefaultScore = 0.5
)

// Label is what became of a would-act.
type Label string

// The labels. What is unlabelled counts neither way: that a release was left untouched may mean that nobody was awake.
const (
	Right      Label = "right"
	Wrong      Label = "wrong"
	Unlabelled Label = ""
)

// LabelOf says whether a rule was right. A person's mark counts before anything that is inferred: that a person moved the
// target back from the same release, or that astern did and the target was healthy afterwards.
func LabelOf(a WouldAct, moves []MoveBack) Label {
	switch {
	case a.Mark != nil && a.Mark.Right:
		return Right
	case a.Mark != nil:
		return Wrong
	case a.Healed:
		return Right
	}
	for _, m := range moves {
		if a.answeredBy(m) {
			return Right
		}
	}
	return Unlabelled
}

// answeredBy says whether a person did what the rule would have done: after its alert began, and soon enough. The move may
// come before the would-act: people are quicker than a long `for`, and CI tells late.
func (a WouldAct) answeredBy(m MoveBack) bool {
	began := a.Began
	if began.IsZero() {
		began = a.At
	}
	return m.Target == a.Target && m.From == a.Release && !m.At.Before(began) && !m.At.After(a.At.Add(RightWithin))
}

// Score is a rule's record: of its would-acts, how many were right and how many wrong.
type Score struct {
	WouldAct int `json:"would_act"`
	Right    int `json:"right"`
	Wrong    int `json:"wrong"`
	// Low and High are the Wilson interval of right among labelled, at 95 %; from 0 to 1 while nothing is labelled.
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// Rate is the score of would-acts, pooled.
func Rate(acts []WouldAct, moves []MoveBack) Score { return rate(acts, movesByTarget(moves)) }

func movesByTarget(moves []MoveBack) map[string][]MoveBack {
	byTarget := map[string][]MoveBack{}
	for _, m := range moves {
		byTarget[m.Target] = append(byTarget[m.Target], m)
	}
	return byTarget
}

func rate(acts []WouldAct, byTarget map[string][]MoveBack) Score {
	s := Score{WouldAct: len(acts)}
	for _, a := range acts {
		switch LabelOf(a, byTarget[a.Target]) {
		case Right:
			s.Right++
		case Wrong:
			s.Wrong++
		}
	}
	s.Low, s.High = Wilson(s.Right, s.Labelled())
	return s
}

// RateRules is the score of each rule, pooled over its targets.
func RateRules(acts []WouldAct, moves []MoveBack) map[string]Score {
	byRule := map[string][]WouldAct{}
	for _, a := range acts {
		byRule[a.Rule] = append(byRule[a.Rule], a)
	}
	byTarget := movesByTarget(moves)
	scores := make(map[string]Score, len(byRule))
	for rule, of := range byRule {
		scores[rule] = rate(of, byTarget)
	}
	return scores
}

// Missed are the moves back that no rule would have started, each once: what a person asked of astern may be told by CI, too.
func Missed(acts []WouldAct, moves []MoveBack) []MoveBack {
	byTarget := map[string][]WouldAct{}
	for _, a := range acts {
		byTarget[a.Target] = append(byTarget[a.Target], a)
	}
	var missed []MoveBack
	known := map[string][]MoveBack{}
	for _, m := range moves {
		if !anyAnswered(byTarget[m.Target], m) && !told(known[m.Target], m) {
			missed, known[m.Target] = append(missed, m), append(known[m.Target], m)
		}
	}
	return missed
}

func anyAnswered(acts []WouldAct, m MoveBack) bool {
	for _, a := range acts {
		if a.answeredBy(m) {
			return true
		}
	}
	return false
}

func told(known []MoveBack, m MoveBack) bool {
	for _, k := range known {
		if k.From == m.From && k.To == m.To && m.At.Sub(k.At).Abs() <= RightWithin {
			return true
		}
	}
	return false
}

// Labelled counts the would-acts of which it is known whether they were right.
func (s Score) Labelled() int { return s.Right + s.Wrong }

// Fraction is the score as people read it: "7 of 9 right", with the lower bound where there are enough for a percentage.
func (s Score) Fraction() string {
	switch n := s.Labelled(); {
	case n == 0:
		return "none labelled"
	case n < LeastForPercent:
		return fmt.Sprintf("%d of %d right", s.Right, n)
	default:
		return fmt.Sprintf("%d of %d right, at least %d %%", s.Right, n, percentDown(s.Low))
	}
}

// Percent is the interval in whole percents.
func (s Score) Percent() (low, high int) {
	return int(math.Round(s.Low * 100)), int(math.Round(s.High * 100))
}

// Lacks says what is missing for a demanded lower bound; nothing when the score meets it.
func (s Score) Lacks(demand float64) string {
	switch {
	case s.Labelled() < LeastForReady:
		return fmt.Sprintf("%s; %d labelled cases are needed", s.Fraction(), LeastForReady)
	case s.Low < demand:
		return s.Fraction()
	}
	return ""
}

// percentDown never says more than is so.
func percentDown(share float64) int { return int(math.Floor(share*100 + 1e-9)) }

// z95 is the normal distribution's quantile for a two-sided interval of 95 %.
const z95 = 1.959963984540054

// Wilson is the score interval at 95 % for k successes in n trials: E. B. Wilson, "Probable inference, the law of
// succession, and statistical inference", JASA 22 (1927), p. 209; recommended for small n by Brown, Cai and DasGupta,
// "Interval estimation for a binomial proportion", Statistical Science 16 (2001), p. 101. Without trials anything is possible.
func Wilson(k, n int) (low, high float64) {
	if n <= 0 {
		return 0, 1
	}
	trials := float64(n)
	p, z2 := float64(k)/trials, z95*z95
	centre := (p + z2/(2*trials)) / (1 + z2/trials)
	half := z95 / (1 + z2/trials) * math.Sqrt(p*(1-p)/trials+z2/(4*trials*trials))
	return min(max(centre-half, 0), p), max(min(centre+half, 1), p)
}
