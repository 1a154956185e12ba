package incident

import (
	"encoding/json"
	"time"
)

// The facts of an incident's history.
type (
	// Opened begins a history.
	Opened struct {
		ID          string `json:"id"`
		Target      string `json:"target"`
		Environment string `json:"environment"`
	}

	// AlertsSeen says that a delivery or a reconciliation showed alerts firing that a rule matched.
	AlertsSeen struct {
		Rule     string        `json:"rule"`
		Mode     Mode          `json:"mode"` // the lowest of installation, environment, target and rule (S20)
		For      time.Duration `json:"for"`
		Severity string        `json:"severity,omitempty"`
		Summary  string        `json:"summary,omitempty"`
		Digest   string        `json:"digest"`
		// Sample is the first alert in full; set when the rule joins.
		Sample *Alert `json:"sample,omitempty"`
		Alerts []Seen `json:"alerts"`
		Note   string `json:"note,omitempty"`
	}

	// AlertsEnded says that episodes closed. It never proves recovery.
	AlertsEnded struct {
		Alerts []AlertEnd `json:"alerts"`
		Note   string     `json:"note,omitempty"`
	}

	// Requested says that a person wants this target rolled back (T6).
	Requested struct {
		Reason string `json:"reason"`
		Plan   string `json:"plan,omitempty"`
	}

	// Reconfigured says that rules were reloaded or modes changed while the incident was open (S28).
	Reconfigured struct {
		Rules []Reconfiguration `json:"rules"`
	}

	// Judged is the answer to "may this rule act now?".
	Judged struct {
		// Rule is the rule judged; empty for a person's own request.
		Rule string `json:"rule,omitempty"`
		// Again says that a plan which was taken up is judged anew: it grew old, or nothing was changed yet.
		Again     bool      `json:"again,omitempty"`
		Judgement Judgement `json:"judgement"`
		// Plan is the plan that the judgement is about; absent when none could be made.
		Plan *Plan `json:"plan,omitempty"`
		// OfferedUntil is when an offer made by this judgement ends.
		OfferedUntil time.Time `json:"offered_until,omitzero"`
		// HealthFor and HealthPatience say how success will be asked for once the steps are done (S23).
		HealthFor      time.Duration `json:"health_for,omitempty"`
		HealthPatience time.Duration `json:"health_patience,omitempty"`
		// PlanLife is how old the plan may be when work resumes (S4); zero is DefaultPlanLife.
		PlanLife time.Duration `json:"plan_life,omitempty"`
	}

	// Approved is a person's yes to exactly one plan.
	Approved struct {
		Plan    string    `json:"plan"`
		Comment string    `json:"comment,omitempty"`
		Until   time.Time `json:"until"`
	}

	// Declined is a person's no to the open plan.
	Declined struct {
		Reason string `json:"reason"`
	}

	// Aborted is a person's word to stop before the next step.
	Aborted struct {
		Reason string `json:"reason"`
	}

	// StepBegan records the intent before a step runs (S5).
	StepBegan struct {
		Step    int       `json:"step"`
		Attempt int       `json:"attempt"`
		With    Params    `json:"with,omitempty"` // as run, when it differs from the plan's
		Until   time.Time `json:"until"`          // its deadline
	}

	// StepSucceeded records that a step's effect is there.
	StepSucceeded struct {
		Step    int             `json:"step"`
		Attempt int             `json:"attempt"`
		Summary string          `json:"summary,omitempty"`
		Output  string          `json:"output,omitempty"`
		Outputs json.RawMessage `json:"outputs,omitempty"`
		// Settled says that the world was asked after a crash; the step was not repeated.
		Settled bool `json:"settled,omitempty"`
	}

	// StepDidNotHappen records that the world was asked after a crash and the effect is not there: it may run.
	StepDidNotHappen struct {
		Step    int    `json:"step"`
		Attempt int    `json:"attempt"`
		Reason  string `json:"reason"`
	}

	// StepErred records that an attempt failed.
	StepErred struct {
		Step      int       `json:"step"`
		Attempt   int       `json:"attempt"`
		Error     string    `json:"error"`
		Output    string    `json:"output,omitempty"`
		Permanent bool      `json:"permanent,omitempty"`
		RetryAt   time.Time `json:"retry_at,omitzero"`
	}

	// StepDoubted records that nobody knows whether a step's effect is there. A person decides.
	StepDoubted struct {
		Step    int    `json:"step"`
		Attempt int    `json:"attempt"`
		Reason  string `json:"reason"`
	}

	// StepSettled is a person's word on a step in doubt.
	StepSettled struct {
		Step   int    `json:"step"`
		Done   bool   `json:"done"`
		Reason string `json:"reason,omitempty"`
	}

	// StepHeld says that a guard stopped the next changing step.
	StepHeld struct {
		Step     int       `json:"step"`
		Findings []Finding `json:"findings"`
		Reason   string    `json:"reason"`
		RetryAt  time.Time `json:"retry_at"`
	}

	// StepRepaired says how undoing a step's own half effect went.
	StepRepaired struct {
		Step  int    `json:"step"`
		Error string `json:"error,omitempty"`
	}

	// Marked says that the target's history knows that it was moved.
	Marked struct{}

	// WouldActMarked is a person's word on whether a rule was right to want to act (S20). It may come after the end.
	WouldActMarked struct {
		Rule   string `json:"rule"`
		Right  bool   `json:"right"`
		Reason string `json:"reason"`
	}

	// HealthSeen is one look at the target's own health queries.
	HealthSeen struct {
		Good bool `json:"good"`
		// Broken says that it cannot become well any more.
		Broken   bool      `json:"broken,omitempty"`
		Findings []Finding `json:"findings,omitempty"`
	}

	// Ended closes an incident.
	Ended struct {
		Phase  Phase  `json:"phase"`
		Reason string `json:"reason"`
	}

	// NoticesOwed says who must be told of the story so far, and by when. It is recorded for every story, also when it
	// owes nobody anything new.
	NoticesOwed struct {
		Story   int          `json:"story"`
		Notices []NoticeOwed `json:"notices,omitempty"`
	}

	// NoticeBegan records the intent before a message leaves.
	NoticeBegan struct {
		ID      string `json:"id"`
		Story   int    `json:"story"`
		Attempt int    `json:"attempt"`
	}

	// NoticeTold is the proof that a message arrived.
	NoticeTold struct {
		ID    string `json:"id"`
		Story int    `json:"story"`
		Ref   string `json:"ref,omitempty"`
	}

	// NoticeErred says that a message did not arrive, or nobody knows whether it did.
	NoticeErred struct {
		ID        string    `json:"id"`
		Story     int       `json:"story"`
		Error     string    `json:"error"`
		Permanent bool      `json:"permanent,omitempty"`
		RetryAt   time.Time `json:"retry_at,omitzero"`
	}

	// NoticeOverdue says that a notice was not told by its due time.
	NoticeOverdue struct {
		ID string `json:"id"`
	}
)

// NoticeOwed is one communication that is owed from now on.
type NoticeOwed struct {
	ID           string    `json:"id"`
	To           string    `json:"to"`
	Via          string    `json:"via"`
	With         Params    `json:"with,omitempty"`
	Updates      bool      `json:"updates,omitempty"`
	Due          time.Time `json:"due"`
	EscalationOf string    `json:"escalation_of,omitempty"`
}

// Seen is one alert of a delivery.
type Seen struct {
	ID          string    `json:"id"`
	Source      string    `json:"source,omitempty"`
	Fingerprint string    `json:"fingerprint,omitempty"`
	StartsAt    time.Time `json:"starts_at"`
}

// AlertEnd is one alert that resolved.
type AlertEnd struct {
	ID     string    `json:"id"`
	EndsAt time.Time `json:"ends_at"`
}

// Reconfiguration is what a reload made of one joined rule.
type Reconfiguration struct {
	Rule     string        `json:"rule"`
	Gone     bool          `json:"gone,omitempty"`
	Mode     Mode          `json:"mode,omitempty"`
	For      time.Duration `json:"for,omitempty"`
	Severity string        `json:"severity,omitempty"`
	Digest   string        `json:"digest,omitempty"`
}

// RuleDigest names one content of one rule.
type RuleDigest struct {
	Rule   string `json:"rule"`
	Digest string `json:"digest"`
}

// RuleError is why one content of one rule could not be evaluated.
type RuleError struct {
	Rule   string `json:"rule"`
	Digest string `json:"digest"`
	Error  string `json:"error"`
}

// The facts of a target's history (stream "target/NAME").
type (
	// ReleaseRecorded says that a version's rollout ended at At (or was corrected).
	ReleaseRecorded struct {
		Release Release `json:"release"`
	}
	// RolloutBegan says that a version's rollout began at At and goes on.
	RolloutBegan struct {
		Release Release `json:"release"`
	}
	// ReleaseSeen fills in what a cluster shows of a release that is known.
	ReleaseSeen struct {
		Version string            `json:"version"`
		Commit  string            `json:"commit,omitempty"`
		Digest  string            `json:"digest,omitempty"`
		Vars    map[string]string `json:"vars,omitempty"`
	}
	// WorkloadSeen says which object in a cluster runs the target: another uid is another object (S18).
	WorkloadSeen struct {
		UID string `json:"uid"`
	}
	// ReleaseJudged changes the verdict on a version.
	ReleaseJudged struct {
		Version string   `json:"version"`
		Verdict Standing `json:"verdict"`
		Reason  string   `json:"reason,omitempty"`
	}
	// RolledBack says that an incident moved the target.
	RolledBack struct {
		Incident string    `json:"incident"`
		From     string    `json:"from"`
		To       Release   `json:"to"`
		At       time.Time `json:"at"`
	}
	// HoldSet says "I have it": a person stops automation for the target for a time.
	HoldSet struct {
		Reason string    `json:"reason"`
		Until  time.Time `json:"until"`
	}
	// HoldLifted ends a hold.
	HoldLifted struct {
		Reason string `json:"reason,omitempty"`
	}
)

// The facts of the installation's history (stream "installation").
type (
	// Founded names the installation when its history begins.
	Founded struct {
		ID string `json:"id"`
	}
	// Armed lets automation act (S19).
	Armed struct {
		Reason string `json:"reason,omitempty"`
	}
	// Disarmed takes that back.
	Disarmed struct {
		Reason string `json:"reason"`
	}
	// Stopped is the kill switch: for everything, a team or a target.
	Stopped struct {
		Scope  string `json:"scope"` // "all", "team/NAME" or "target/NAME"
		Reason string `json:"reason"`
	}
	// Resumed turns a stop of the same scope off.
	Resumed struct {
		Scope  string `json:"scope"`
		Reason string `json:"reason,omitempty"`
	}
	// MassEvent says that so many targets want action at once that it is infrastructure, not a deploy (S8).
	MassEvent struct {
		Incident string   `json:"incident"` // the one that saw it
		Targets  []string `json:"targets"`
		Reason   string   `json:"reason"`
	}
	// MassReleased lets incidents go on that a mass event held (S8).
	MassReleased struct {
		Reason string    `json:"reason"`
		Until  time.Time `json:"until"` // no new mass event is called before
	}
	// RulesLoaded says what a configuration changed among the rules in force: only what is new or another content, and
	// what is gone (S20).
	RulesLoaded struct {
		Config string       `json:"config"` // the digest of the configuration that comes in force
		Rules  []RuleDigest `json:"rules,omitempty"`
		Gone   []string     `json:"gone,omitempty"`
	}
	// RuleWaived is a person's word that a changed rule need not spend its day in suggest (S20). It is for one content.
	RuleWaived struct {
		Rule   string `json:"rule"`
		Digest string `json:"digest"`
		Reason string `json:"reason"`
	}
	// RulesErred says that rules could not be evaluated for an alert: they neither matched nor did not.
	RulesErred struct {
		Rules []RuleError `json:"rules"`
	}
)
