// Package incident is the judgement: what an incident's history adds up to and what must be done next.
// It is pure: it imports the standard library alone, never asks for the time, and its values are what histories hold.
package incident

import (
	"encoding/json"
	"time"
)

// Phase is where an incident stands. An incident is in exactly one phase at a time.
type Phase string

// The phases. All after Verifying but InDoubt are final.
const (
	Pending          Phase = "pending"
	Held             Phase = "held"
	AwaitingApproval Phase = "awaiting_approval"
	Running          Phase = "running"
	Verifying        Phase = "verifying"
	InDoubt          Phase = "in_doubt"
	Succeeded        Phase = "succeeded"
	Failed           Phase = "failed"
	Rejected         Phase = "rejected"
	Cancelled        Phase = "cancelled"
	Superseded       Phase = "superseded"
)

// Phases lists every phase in the order a person reads them.
var Phases = []Phase{Pending, Held, AwaitingApproval, Running, Verifying, InDoubt, Succeeded, Failed, Rejected, Cancelled, Superseded}

// Final says whether nothing changes production for this incident any more.
func (p Phase) Final() bool {
	switch p {
	case Succeeded, Failed, Rejected, Cancelled, Superseded:
		return true
	}
	return false
}

// Mode is how far a rule may go (S20).
type Mode string

// The ladder, lowest first.
const (
	Observe Mode = "observe"
	Suggest Mode = "suggest"
	Approve Mode = "approve"
	Auto    Mode = "auto"
)

// Modes lists the ladder, lowest first.
var Modes = []Mode{Observe, Suggest, Approve, Auto}

// Rank is the mode's place on the ladder; an unknown mode ranks as observe.
func (m Mode) Rank() int {
	for i, known := range Modes {
		if m == known {
			return i
		}
	}
	return 0
}

// Lowest is the mode that counts when several are written (S20).
func Lowest(first Mode, others ...Mode) Mode {
	lowest := first
	for _, m := range others {
		if m.Rank() < lowest.Rank() {
			lowest = m
		}
	}
	return Modes[lowest.Rank()]
}

// Incident is one open case for one target: the sum of its history.
// Values are shared between goroutines and never changed after Apply returned them.
type Incident struct {
	ID          string `json:"id"`
	Target      string `json:"target"`
	Environment string `json:"environment"`
	Severity    string `json:"severity,omitempty"`

	// Version is the number of facts the incident is the sum of.
	Version int `json:"version"`
	// Now is the newest time any fact told; the judgement knows no other clock.
	Now      time.Time `json:"now"`
	OpenedAt time.Time `json:"opened_at"`
	EndedAt  time.Time `json:"ended_at,omitzero"`

	Phase  Phase  `json:"phase"`
	Reason string `json:"reason"`

	Rules    []Joined            `json:"rules,omitempty"`
	Lead     string              `json:"lead,omitempty"`
	Episodes map[string]*Episode `json:"episodes,omitempty"`
	Request  *Request            `json:"request,omitempty"`

	// HeldSince is since when the next step is held for the same reasons.
	HeldSince time.Time `json:"held_since,omitzero"`

	Plan     *Plan         `json:"plan,omitempty"`
	PlanLife time.Duration `json:"plan_life,omitempty"`
	Findings []Finding     `json:"findings,omitempty"`
	Offer    *Offer        `json:"offer,omitempty"`
	Approval *Approval     `json:"approval,omitempty"`
	RetryAt  time.Time     `json:"retry_at,omitzero"`
	Steps    []StepRun     `json:"steps,omitempty"`
	// Touched says that a step that changes the world began; Marked that the target's history knows of the move.
	Touched bool     `json:"touched,omitempty"`
	Marked  bool     `json:"marked,omitempty"`
	Health  Health   `json:"health,omitzero"`
	Refusal *Refusal `json:"refusal,omitempty"`
	// Labels is what people say of the rules that would have acted (S20).
	Labels []RuleMark `json:"labels,omitempty"`

	// Story counts what people should have been told: each notice is owed until its Told has reached it.
	Story   int      `json:"story"`
	News    []News   `json:"news,omitempty"` // the last maxNews chapters
	Owed    int      `json:"owed"`           // the Story up to which it was settled who must be told
	Notices []Notice `json:"notices,omitempty"`
}

// News is one chapter of the story that people are told.
type News struct {
	Story int       `json:"story"`
	At    time.Time `json:"at"`
	Text  string    `json:"text"`
	// Urgent says that a person must come.
	Urgent bool `json:"urgent,omitempty"`
}

// Joined is a rule that matched alerts of this incident. Rules join in the order of their first match.
type Joined struct {
	Rule     string        `json:"rule"`
	Mode     Mode          `json:"mode"`
	For      time.Duration `json:"for"`
	Severity string        `json:"severity,omitempty"`
	Summary  string        `json:"summary,omitempty"`
	// Digest is the digest of the rule's text: a changed rule is judged again.
	Digest   string    `json:"digest"`
	JoinedAt time.Time `json:"joined_at"`
	// Since is the earliest start among the rule's open episodes; zero when none is open.
	Since time.Time `json:"since,omitzero"`
	// SeenAt is when a delivery or a reconciliation last said that it fires (S6).
	SeenAt time.Time `json:"seen_at"`
	// Sample is the first alert that matched, whole.
	Sample    Alert      `json:"sample"`
	Judgement *Judgement `json:"judgement,omitempty"`
}

// DueAt is when the rule asks to be judged: its alert has fired for as long as `for` says. Zero when nothing fires.
func (j Joined) DueAt() time.Time {
	if j.Since.IsZero() {
		return time.Time{}
	}
	return j.Since.Add(j.For)
}

// Alert is one alert as it was delivered. Labels and annotations are a stranger's text.
type Alert struct {
	ID           string            `json:"id"`
	Source       string            `json:"source"`
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	StartsAt     time.Time         `json:"starts_at"`
	EndsAt       time.Time         `json:"ends_at,omitzero"`
	Fingerprint  string            `json:"fingerprint,omitempty"`
	GeneratorURL string            `json:"generator_url,omitempty"`
	GroupLabels  map[string]string `json:"group_labels,omitempty"`
	// Value is the number the alert's annotation `value` carries, if it does (Alertmanager sends none).
	Value *float64 `json:"value,omitempty"`
}

// Episode is one alert from firing to resolved, as seen here.
type Episode struct {
	Rules       []string  `json:"rules"`
	Source      string    `json:"source"`
	Fingerprint string    `json:"fingerprint,omitempty"`
	StartsAt    time.Time `json:"starts_at"`
	EndedAt     time.Time `json:"ended_at,omitzero"`
}

// Open says whether the episode still fires as far as anyone told; one that nobody told of does.
func (e *Episode) Open() bool { return e == nil || e.EndedAt.IsZero() }

// Request is a person's own wish to roll back (T6).
type Request struct {
	By     string    `json:"by"`
	Reason string    `json:"reason"`
	Plan   string    `json:"plan,omitempty"`
	At     time.Time `json:"at"`
	// Judgement is what became of it.
	Judgement *Judgement `json:"judgement,omitempty"`
}

// Verdict is what a judgement came to.
type Verdict string

// The verdicts. Wait and Hold differ in what people hear: a wait is quiet, a hold is told.
const (
	Go    Verdict = "go"    // act now
	Ask   Verdict = "ask"   // a person must approve the plan
	Hold  Verdict = "hold"  // do nothing, say so, ask again at RetryAt
	Wait  Verdict = "wait"  // the evidence says no for now; look again at RetryAt
	Tell  Verdict = "tell"  // suggest: tell people the plan, offer nothing
	Watch Verdict = "watch" // observe: remember what would have been done
	Stop  Verdict = "stop"  // the target is not what the plan found: superseded
)

// Judgement is the answer to "may this rule act now?", with every guard's word.
type Judgement struct {
	Verdict  Verdict   `json:"verdict"`
	Mode     Mode      `json:"mode"`
	Reason   string    `json:"reason"`
	Findings []Finding `json:"findings,omitempty"`
	At       time.Time `json:"at"`
	RetryAt  time.Time `json:"retry_at,omitzero"`
	// Since is when the answer was first given for the same reasons.
	Since time.Time `json:"since,omitzero"`
	// Tries counts the questions in a row that had no answer; Quiet says that people need not hear of it.
	Tries int  `json:"tries,omitempty"`
	Quiet bool `json:"quiet,omitempty"`
	// Would is what a rule in observe or suggest would have come to in auto.
	Would Verdict `json:"would,omitempty"`
	// Until is when a ceiling ends that holds the rule below its own mode (S20): it is judged again then.
	Until time.Time `json:"until,omitzero"`
	Plan  string    `json:"plan,omitempty"`
}

// Finding is one guard's word.
type Finding struct {
	Guard   string  `json:"guard"`   // its short name, such as "cooldown"
	Rule    string  `json:"rule"`    // the invariant it keeps, such as "S10"
	Verdict Verdict `json:"verdict"` // Go, Ask, Hold, Wait or Stop
	// Unknown says that the guard got no answer: neither yes nor no (S7).
	Unknown bool   `json:"unknown,omitempty"`
	Reason  string `json:"reason"`
	// RetryAt is when asking again may give another answer; zero leaves it to the judgement.
	RetryAt time.Time `json:"retry_at,omitzero"`
}

// Offer is a plan that waits for a person (S21).
type Offer struct {
	Plan  string    `json:"plan"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
}

// Approval is a person's yes to exactly one plan (S21).
type Approval struct {
	Plan    string    `json:"plan"`
	By      string    `json:"by"`
	Comment string    `json:"comment,omitempty"`
	At      time.Time `json:"at"`
	Until   time.Time `json:"until"`
}

// Refusal is a person's no: a reject or an abort.
type Refusal struct {
	By     string `json:"by"`
	Reason string `json:"reason"`
	Abort  bool   `json:"abort,omitempty"`
}

// StepState is where one step of the plan stands.
type StepState string

// The states of a step.
const (
	NotStarted StepState = "waiting"
	Started    StepState = "started"
	Done       StepState = "done"
	Errored    StepState = "failed"
	Doubted    StepState = "in_doubt"
	Skipped    StepState = "skipped" // failed, and its on_failure says continue
	Mended     StepState = "repaired"
)

// StepRun is what became of one step of the plan.
type StepRun struct {
	State     StepState       `json:"state"`
	Attempt   int             `json:"attempt"`
	StartedAt time.Time       `json:"started_at,omitzero"`
	EndedAt   time.Time       `json:"ended_at,omitzero"`
	RetryAt   time.Time       `json:"retry_at,omitzero"`
	Error     string          `json:"error,omitempty"`
	Permanent bool            `json:"permanent,omitempty"`
	Summary   string          `json:"summary,omitempty"`
	Output    string          `json:"output,omitempty"`
	Outputs   json.RawMessage `json:"outputs,omitempty"`
	RepairErr string          `json:"repair_error,omitempty"`
}

// Health is what the target's own queries said since the procedure ended (S23).
type Health struct {
	StartedAt time.Time `json:"started_at,omitzero"`
	// For is how long all queries must hold without a break; Patience is how long that may take: then comes Deadline.
	For      time.Duration `json:"for,omitempty"`
	Patience time.Duration `json:"patience,omitempty"`
	Deadline time.Time     `json:"deadline,omitzero"`
	// GoodSince is when all queries began to hold without a break; zero while one does not.
	GoodSince time.Time `json:"good_since,omitzero"`
	AskedAt   time.Time `json:"asked_at,omitzero"`
	Findings  []Finding `json:"findings,omitempty"`
	// Broken says why it cannot become well any more; empty while it can.
	Broken string `json:"broken,omitempty"`
}

// Notice is a communication that is owed (S32).
type Notice struct {
	ID   string `json:"id"`
	To   string `json:"to"`
	Via  string `json:"via"`
	With Params `json:"with,omitempty"`
	// Updates says that the channel can follow the incident; others are told once.
	Updates bool      `json:"updates,omitempty"`
	OwedAt  time.Time `json:"owed_at"`
	Due     time.Time `json:"due"`
	// EscalationOf names the notice whose lateness this one tells.
	EscalationOf string `json:"escalation_of,omitempty"`

	Told    int       `json:"told"` // the Story it has been told up to
	Ref     string    `json:"ref,omitempty"`
	ToldAt  time.Time `json:"told_at,omitzero"`
	FirstAt time.Time `json:"first_at,omitzero"` // when the first telling was proven
	Sending int       `json:"sending,omitempty"` // the Story being told; 0 when none is
	Attempt int       `json:"attempt,omitempty"`
	// BeganAt is when the first attempt at the present telling began.
	BeganAt   time.Time `json:"began_at,omitzero"`
	RetryAt   time.Time `json:"retry_at,omitzero"`
	Error     string    `json:"error,omitempty"`
	GivenUp   bool      `json:"given_up,omitempty"`
	OverdueAt time.Time `json:"overdue_at,omitzero"`
}

// Params are an action's parameters as canonical JSON.
type Params = json.RawMessage
