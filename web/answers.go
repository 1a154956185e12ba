package web

import (
	"encoding/json"
	"time"

	"astern.dev/astern/engine"
	"astern.dev/astern/engine/incident"
)

// APIVersion stands in every answer. A member may be added to an answer within a version; none changes its meaning.
const APIVersion = "astern/v1"

// Header begins every answer.
type Header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

func header(kind string) Header { return Header{APIVersion, kind} }

// List is an answer of several: kind IncidentList, TargetList, ReleaseList or DeliveryList.
type List[T any] struct {
	Header
	Items []T `json:"items"`
}

func list[T any](kind string, items []T) List[T] {
	if items == nil {
		items = []T{}
	}
	return List[T]{header(kind), items}
}

// IncidentAnswer is one incident with its history; kind Incident.
type IncidentAnswer struct {
	Header
	Incident incident.Incident `json:"incident"`
	Events   []Event           `json:"events"`
	// Progress is the last line that the step under way told; it is shown, never stored.
	Progress string `json:"progress,omitempty"`
}

// Event is one fact of a history as the API shows it.
type Event struct {
	Version int             `json:"version"`
	Type    string          `json:"type"`
	Schema  int             `json:"schema"`
	At      time.Time       `json:"at"`
	By      string          `json:"by"`
	Config  string          `json:"config,omitempty"`
	Fact    json.RawMessage `json:"fact"`
	Hash    string          `json:"hash"`
}

// Decode gives the event back as the engine knows it. A type that a newer server wrote is an error.
func (e Event) Decode() (incident.Event, error) {
	fact, err := incident.DecodeFact(e.Type, e.Schema, e.Fact)
	if err != nil {
		return incident.Event{}, err
	}
	return incident.Event{Version: e.Version, Type: e.Type, Schema: e.Schema, At: e.At, By: e.By, Config: e.Config, Fact: fact, Hash: e.Hash}, nil
}

// PlanAnswer is what would be done now for a target; kind Plan.
type PlanAnswer struct {
	Header
	engine.Preview
}

// RollbackAnswer names the incident that a person's rollback became; kind Rollback.
type RollbackAnswer struct {
	Header
	Incident string `json:"incident"`
}

// RuleList is the rules in force with what the last 30 days say of them; kind RuleList.
type RuleList struct {
	Header
	Items []engine.RuleStatus `json:"items"`
	// Since is where the window of the scores begins.
	Since time.Time `json:"since"`
	// Missed are the rollbacks by people that no rule would have started, by target.
	Missed []engine.TargetMisses `json:"missed"`
}

// TargetAnswer is one target; kind Target.
type TargetAnswer struct {
	Header
	Target engine.TargetStatus `json:"target"`
}

// AllowedAnswer says whether a release may be rolled out; kind ReleaseAllowed.
type AllowedAnswer struct {
	Header
	Target  string `json:"target"`
	Version string `json:"version,omitempty"`
	Digest  string `json:"digest,omitempty"`
	Allowed bool   `json:"allowed"`
	// Reason says why it may not; empty when it may.
	Reason string `json:"reason,omitempty"`
}

// StatusAnswer is the installation as a whole; kind Status.
type StatusAnswer struct {
	Header
	Status engine.Status `json:"status"`
}

// Release is one release of one target in a list.
type Release struct {
	Target  string           `json:"target"`
	Current bool             `json:"current,omitempty"`
	Release incident.Release `json:"release"`
}

// Done says that a wish was recorded; kind Done.
type Done struct {
	Header
	Message string `json:"message"`
}

func done(message string) Done { return Done{header("Done"), message} }

// Receipt answers a notification; kind Receipt. Decisions counts the alerts by what they came to.
type Receipt struct {
	Header
	Alerts    int            `json:"alerts"`
	Decisions map[string]int `json:"decisions"`
}

// ErrorAnswer is the one shape of every error.
type ErrorAnswer struct {
	Error Problem `json:"error"`
}

// Problem says what is wrong, what remains so, and what to do next.
type Problem struct {
	// Code is one of: malformed, too_large, unsupported_media_type, unauthenticated, forbidden, cross_origin, not_found,
	// method_not_allowed, conflict, refused, unavailable, internal.
	Code    string `json:"code"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Field is a JSON pointer to what is wrong in the request's body.
	Field string `json:"field,omitempty"`
}

// The requests. Every one is read strictly: an unknown member is refused.
type (
	// ApproveRequest says yes to exactly one plan, named by at least the first six characters of its hash.
	ApproveRequest struct {
		Plan    string `json:"plan"`
		Comment string `json:"comment,omitempty"`
	}
	// ReasonRequest carries the reason of a wish that needs nothing else.
	ReasonRequest struct {
		Reason string `json:"reason"`
	}
	// ResetRequest says on which target a rule that flapped may act again.
	ResetRequest struct {
		Target string `json:"target"`
		Reason string `json:"reason"`
	}
	// SettleRequest is a person's word on a step in doubt: settlement is "done" or "repeat".
	SettleRequest struct {
		Step       string            `json:"step"`
		Settlement engine.Settlement `json:"settlement"`
		Reason     string            `json:"reason"`
	}
	// MarkRequest says whether a rule was right to want to act: mark is "right" or "wrong". Without a rule it is the only
	// one that would have acted.
	MarkRequest struct {
		Mark   string `json:"mark"`
		Rule   string `json:"rule,omitempty"`
		Reason string `json:"reason"`
	}
	// RollbackRequest is a person's own rollback (T6). With plan, nothing is done when the plan is another one by now.
	RollbackRequest struct {
		Target string `json:"target"`
		Reason string `json:"reason"`
		Plan   string `json:"plan,omitempty"`
	}
	// HoldRequest is "I have it": for is a duration such as 1h or 2d; lift ends the hold.
	HoldRequest struct {
		Reason string `json:"reason"`
		For    string `json:"for,omitempty"`
		Lift   bool   `json:"lift,omitempty"`
	}
	// ScopeRequest stops or resumes all, team/NAME or target/NAME.
	ScopeRequest struct {
		Scope  string `json:"scope,omitempty"` // all when empty
		Reason string `json:"reason"`
	}
	// ReleaseRequest tells what was deployed when. At is when the rollout ended, or began where that is told; now when absent.
	ReleaseRequest struct {
		Target  string            `json:"target"`
		Version string            `json:"version"`
		Commit  string            `json:"commit,omitempty"`
		Digest  string            `json:"digest,omitempty"`
		At      time.Time         `json:"at,omitzero"`
		Verdict incident.Standing `json:"verdict,omitempty"`
		Reason  string            `json:"reason,omitempty"`
		Schema  string            `json:"schema,omitempty"`
		Vars    map[string]string `json:"vars,omitempty"`
	}
	// JudgeRequest changes the verdict on a version: good, bad, denied or unknown.
	JudgeRequest struct {
		Target  string            `json:"target"`
		Version string            `json:"version"`
		Verdict incident.Standing `json:"verdict"`
		Reason  string            `json:"reason"`
	}
)
