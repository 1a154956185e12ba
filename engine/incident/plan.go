package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"
)

// Plan is a procedure rendered for one incident: the exact steps, named by their hash.
type Plan struct {
	// Hash is PlanHash of the plan; people approve it by its first characters.
	Hash      string    `json:"hash"`
	Procedure string    `json:"procedure"`
	Target    TargetRef `json:"target"`
	From      Release   `json:"from"`
	To        Release   `json:"to"`
	Steps     []Step    `json:"steps"`
	// MadeAt and Config say when and by which configuration; they are no part of the hash.
	MadeAt time.Time `json:"made_at"`
	Config string    `json:"config"`
}

// TargetRef names what a plan changes: environment, name and uid must all agree (S18).
type TargetRef struct {
	Name        string `json:"name"`
	Environment string `json:"environment"`
	UID         string `json:"uid"`
}

// Step is one step of a plan with its parameters rendered.
type Step struct {
	Name string `json:"name"`
	Uses string `json:"uses"`
	// With holds the rendered parameters. What depends on an earlier step's output stays `${steps.…}` until then.
	With Params `json:"with"`
	// Connection names the connection the step chose instead of the target's; mostly empty.
	Connection string        `json:"connection,omitempty"`
	Change     Change        `json:"change"`
	Timeout    time.Duration `json:"timeout"`
	Attempts   int           `json:"attempts"`
	Backoff    time.Duration `json:"backoff"`
	OnFailure  OnFailure     `json:"on_failure"`
}

// OnFailure says what a failed step leads to.
type OnFailure string

// The answers to a failed step.
const (
	Escalate OnFailure = "escalate" // end as failed and call people
	Repair   OnFailure = "repair"   // undo the step's own half effect, then escalate
	Continue OnFailure = "continue" // go on without it
)

// Change is what a step will do, as a person can read it before saying yes.
type Change struct {
	// Changes says whether the step alters the world; steps that only look are not guarded one by one.
	Changes bool   `json:"changes"`
	Summary string `json:"summary"`
	// Diff has one line a change, starting with "+", "-", "~" or "=".
	Diff []string `json:"diff,omitempty"`
	// Found is the digest of what the step will find, less what earlier steps of the same plan change (S4).
	Found string `json:"found,omitempty"`
}

// Changes says whether any step of the plan alters the world.
func (p Plan) Changes() bool {
	for _, s := range p.Steps {
		if s.Change.Changes {
			return true
		}
	}
	return false
}

// PlanHash names a plan by its content: procedure, target, releases, each step's parameters and what it will find.
// Times, configuration names and the wording of changes are no part of it.
func PlanHash(p Plan) string {
	type step struct {
		Name, Uses, Connection string
		With                   Params
		Found                  string
		Changes                bool
		Timeout, Backoff       time.Duration
		Attempts               int
		OnFailure              OnFailure
	}
	content := struct {
		Procedure      string
		Target         TargetRef
		From, To       string
		FromDig, ToDig string
		Steps          []step
	}{Procedure: p.Procedure, Target: p.Target, From: p.From.Version, To: p.To.Version, FromDig: p.From.Digest, ToDig: p.To.Digest}
	for _, s := range p.Steps {
		content.Steps = append(content.Steps, step{s.Name, s.Uses, s.Connection, s.With, s.Change.Found, s.Change.Changes, s.Timeout, s.Backoff, s.Attempts, s.OnFailure})
	}
	raw, err := json.Marshal(content)
	if err != nil {
		panic("a plan's parameters are not JSON: " + err.Error())
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// Short is how a plan's hash is shown and typed: its first characters.
func Short(hash string) string {
	if len(hash) > 12 {
		return hash[:12]
	}
	return hash
}

// Standing is the verdict on a release.
type Standing string

// The standings of a release.
const (
	Unknown Standing = "unknown"
	Good    Standing = "good"
	Bad     Standing = "bad"
	Denied  Standing = "denied"
)

// Barred says that no plan goes to such a release, and that it may not be rolled out.
func (s Standing) Barred() bool { return s == Bad || s == Denied }

// Release is a version of a target, as CI told or an observation found.
type Release struct {
	Version string            `json:"version" cel:"version"`
	Commit  string            `json:"commit,omitempty" cel:"commit"`
	Digest  string            `json:"digest,omitempty" cel:"digest"`
	At      time.Time         `json:"at" cel:"at"`            // when its rollout ended
	Began   time.Time         `json:"began,omitzero" cel:"-"` // when its rollout began, where that was told or seen
	Verdict Standing          `json:"verdict" cel:"verdict"`
	Reason  string            `json:"reason,omitempty" cel:"reason"`
	Schema  string            `json:"schema,omitempty" cel:"schema"`
	Vars    map[string]string `json:"vars,omitempty" cel:"vars"`
	By      string            `json:"by,omitempty" cel:"-"`
	// Unfinished says that another rollout replaced this one before it ended.
	Unfinished bool `json:"unfinished,omitempty" cel:"-"`
}

// Claim is a place in something that spans incidents: a lock, a slot, a budget, a cooldown.
// A pool has Limit places; taking one fails when others hold them all. Taking a pool twice keeps the place held.
type Claim struct {
	Pool  string    `json:"pool"`
	Limit int       `json:"limit"`
	Until time.Time `json:"until,omitzero"` // zero: until released
}
