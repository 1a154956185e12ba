package engine

import (
	"slices"
	"time"

	"astern.dev/astern/engine/incident"
	"astern.dev/astern/rules/expr"
)

// ExplainQuery asks why something happened to an alert, or why nothing did. One of Alert, Incident and At says about what.
type ExplainQuery struct {
	// Alert is judged as if it were delivered now, by Source; nothing follows from it.
	Alert  *Delivered
	Source string
	// Incident is a stored one.
	Incident string
	// At is the moment up to which the ledger is looked through for the newest alert with these Labels.
	At     time.Time
	Labels map[string]string
	// Decode reads a notification as the door does; without it, the ledger's own words have to do.
	Decode func(body []byte, receipt time.Time) (Notification, error)
}

// End is what came of an alert.
type End string

// The ends.
const (
	NeverReceived End = "never_received"
	NoRule        End = "no_rule"
	OnlyWatched   End = "watched" // a rule matched, in observe or suggest
	HeldBack      End = "held"    // by a guard, a timer, a person, or because there is no target
	OvertakenEnd  End = "running" // another procedure was under way, or the case was superseded
	ActedEnd      End = "acted"
)

// Basis says what an explanation rests on.
type Basis string

// The bases.
const (
	AsOfNow Basis = "now"   // judged as if the alert came now, every guard asked
	AsItWas Basis = "then"  // what was recorded when it was decided
	OnFiles Basis = "files" // what files alone decide
)

// Explanation is everything that decides about one alert.
type Explanation struct {
	End End `json:"end"`
	// Answer is the end in one sentence.
	Answer string `json:"answer"`
	Basis  Basis  `json:"basis"`
	// At is the moment the rules are explained for.
	At       time.Time       `json:"at"`
	Config   ConfigWord      `json:"config"`
	Alert    *incident.Alert `json:"alert,omitempty"`
	Received *Reception      `json:"received,omitempty"`
	Rules    []RuleWord      `json:"rules"`
	// RulesLeft counts the rules that are not listed: they did not match, and others came nearer.
	RulesLeft int    `json:"rules_left,omitempty"`
	Cases     []Case `json:"cases"`
	// Changes are what would change the outcome.
	Changes []string `json:"changes,omitempty"`
	Notes   []string `json:"notes,omitempty"`
	// Heard is what came in last, when the alert itself never did.
	Heard *Heard `json:"heard,omitempty"`
}

// nearMisses is how many of the rules that came nearest are worth a line.
const nearMisses = 5

// Short leaves out the rules that nobody has to read: it keeps what matched, what failed, and then the nearest misses,
// the nearest first.
func (x Explanation) Short() Explanation {
	var kept []RuleWord
	for _, w := range x.Rules {
		if w.Result != RuleNot || w.Near > 0 && w.Near <= nearMisses {
			kept = append(kept, w)
		}
	}
	missed := func(w RuleWord) int {
		if w.Result == RuleNot {
			return w.Near
		}
		return 0
	}
	slices.SortStableFunc(kept, func(a, b RuleWord) int { return missed(a) - missed(b) })
	x.RulesLeft += len(x.Rules) - len(kept)
	x.Rules = kept
	return x
}

// ConfigWord says by which configuration the rules are explained.
type ConfigWord struct {
	Digest string `json:"digest"`
	// InForce says that it is the one in force now; Lost that the one of that moment is no longer kept, and the one in
	// force now stands for it.
	InForce bool `json:"in_force"`
	Lost    bool `json:"lost,omitempty"`
}

// Reception is the delivery that brought the alert.
type Reception struct {
	At        time.Time           `json:"at"`
	Source    string              `json:"source"`
	Receiver  string              `json:"receiver,omitempty"`
	Alerts    int                 `json:"alerts"`
	Truncated int                 `json:"truncated,omitempty"`
	Decisions []incident.Decision `json:"decisions"`
	// Others are further alerts of the same delivery that the question fits.
	Others int `json:"others,omitempty"`
}

// RuleResult is what one rule says of the alert.
type RuleResult string

// The results.
const (
	RuleMatched RuleResult = "matched"
	RuleNot     RuleResult = "no_match"
	RuleFailed  RuleResult = "failed"
)

// RuleWord is one rule's word.
type RuleWord struct {
	Rule   string        `json:"rule"`
	Group  string        `json:"group"`
	File   string        `json:"file"`
	Line   int           `json:"line"`
	Mode   incident.Mode `json:"mode"` // as the rule writes it
	Result RuleResult    `json:"result"`
	// Why is the first reason, in one line.
	Why string `json:"why,omitempty"`
	// Near is the place among the nearest misses, from 1; Misses are the parts that would have to come out otherwise.
	Near   int         `json:"near,omitempty"`
	Misses []expr.Miss `json:"misses,omitempty"`
	Trace  expr.Trace  `json:"trace"`
}

// Case is one rule that matched, with the target it chooses.
type Case struct {
	Rule     string `json:"rule"`
	Target   string `json:"target,omitempty"`
	Incident string `json:"incident,omitempty"`
	End      End    `json:"end"`
	// Words say why it ended so.
	Words string `json:"words"`
	// Mode is what counts; Levels are all that have a say in it.
	Mode   incident.Mode `json:"mode,omitempty"`
	Levels []ModeLevel   `json:"levels,omitempty"`
	Timer  *Timer        `json:"timer,omitempty"`
	// Findings are the guards' words, of the moment JudgedAt.
	JudgedAt time.Time          `json:"judged_at,omitzero"`
	Findings []incident.Finding `json:"findings,omitempty"`
	Verdict  incident.Verdict   `json:"verdict,omitempty"`
	Would    incident.Verdict   `json:"would,omitempty"`
	Reason   string             `json:"reason,omitempty"`
	Plan     string             `json:"plan,omitempty"`
	From     string             `json:"from,omitempty"`
	To       string             `json:"to,omitempty"`
	// Unasked are the guards that would be asked, where no server is there to ask them.
	Unasked []GuardWord `json:"unasked,omitempty"`
	// Course is what was decided when, each change once.
	Course []Turn `json:"course,omitempty"`
}

// ModeLevel is one place that has a say in the mode.
type ModeLevel struct {
	Level string        `json:"level"`
	Mode  incident.Mode `json:"mode"`
}

// Timer is the rule's `for`.
type Timer struct {
	For   time.Duration `json:"for"`
	Since time.Time     `json:"since,omitzero"` // zero: nothing fires any more
	Due   time.Time     `json:"due,omitzero"`
}

// GuardWord is one guard and its bound.
type GuardWord struct {
	Guard string `json:"guard"`
	Rule  string `json:"rule"` // the invariant it keeps
	Value string `json:"value"`
}

// Turn is one moment at which something was decided.
type Turn struct {
	At   time.Time `json:"at"`
	By   string    `json:"by"`
	Text string    `json:"text"`
}

// Heard is what came in last, and the last Watchdog of each sender.
type Heard struct {
	Last      []incident.Delivery  `json:"last"`
	Watchdogs map[string]time.Time `json:"watchdogs"`
	Looked    int                  `json:"looked"` // lines of the ledger
	Back      time.Time            `json:"back,omitzero"`
	long      bool                 // a delivery had more alerts than the ledger lists
}
