package engine

import (
	"errors"
	"fmt"
	"time"

	"astern.dev/astern/engine/incident"
)

// Notification is one delivery of a sender, decoded by the door.
type Notification struct {
	Source      string // the sender's configured name, by its credential
	Receiver    string
	GroupKey    string
	Status      string
	ExternalURL string
	GroupLabels map[string]string
	Truncated   int
	Alerts      []Delivered
	Body        []byte // as it came, for the ledger
	listed      bool   // read from Alertmanager's API
}

// Delivered is one alert of a notification. The engine fills Alert.ID and Alert.Source.
type Delivered struct {
	Alert incident.Alert
	// Quarantine says why the alert must not be judged; empty when it may.
	Quarantine string
	// Note says what the door corrected, such as a start in the future.
	Note string
}

// Receipt is what became of a notification; all of it is durable.
type Receipt struct {
	Decisions []incident.Decision
}

// Person is who asks; the edge has authenticated and authorised it.
type Person struct {
	Name string
	Role string
	Via  string // "api", "cli", "slack", …
}

// Preview is what would be done now for a target, as `astern plan` shows it.
type Preview struct {
	Plan     incident.Plan      `json:"plan"`
	Findings []incident.Finding `json:"findings"`
}

// TargetStatus is one target as `astern targets` shows it.
type TargetStatus struct {
	Name          string              `json:"name"`
	Class         string              `json:"class"`
	Environment   string              `json:"environment"`
	Owner         string              `json:"owner,omitempty"`
	Mode          incident.Mode       `json:"mode"` // the ceiling that holds for it now
	Workload      string              `json:"workload,omitempty"`
	UID           string              `json:"uid,omitempty"` // of the workload, as a cluster showed it
	Current       *incident.Release   `json:"current,omitempty"`
	Rolling       *incident.Release   `json:"rolling,omitempty"`  // a rollout that is going on
	Previous      *incident.Release   `json:"previous,omitempty"` // where a rollback would go
	NoWayBack     string              `json:"no_way_back,omitempty"`
	Readiness     *Readiness          `json:"readiness,omitempty"` // absent until it was asked
	Troubles      []string            `json:"troubles,omitempty"`
	Hold          *incident.HoldState `json:"hold,omitempty"`
	Stopped       string              `json:"stopped,omitempty"`
	Incident      string              `json:"incident,omitempty"`
	CooldownUntil time.Time           `json:"cooldown_until,omitzero"`
	Releases      []incident.Release  `json:"releases,omitempty"`
}

// RuleStatus is one rule as `astern rules` shows it.
type RuleStatus struct {
	Name   string        `json:"name"`
	Group  string        `json:"group"`
	File   string        `json:"file"`
	Mode   incident.Mode `json:"mode"`
	For    time.Duration `json:"for"`
	Do     string        `json:"do"`
	Digest string        `json:"digest"`
	// Content is what the rule says, field by field.
	Content map[string]string `json:"content,omitempty"`
	// Effective is the highest mode that counts now for any of its targets; Held says what keeps it below the rule's own,
	// and HeldUntil when that ends by itself.
	Effective incident.Mode `json:"effective"`
	Held      string        `json:"held,omitempty"`
	HeldUntil time.Time     `json:"held_until,omitzero"`
	// Matched counts the incidents of the score's window in which an alert matched, and LastMatch is the newest of them.
	Matched   int       `json:"matched"`
	LastMatch time.Time `json:"last_match,omitzero"`
	// Score is pooled over its targets; Demand is the lower bound that it needs.
	Score  incident.Score `json:"score"`
	Demand float64        `json:"demand"`
	// Error is why its condition could not be evaluated, when that was so within the window.
	Error string `json:"error,omitempty"`
	// Ready says that its record allows the next mode; NotReady says what is missing.
	Ready    bool   `json:"ready"`
	NotReady string `json:"not_ready,omitempty"`
}

// RuleReport is all rules with what the last days say of them.
type RuleReport struct {
	Rules []RuleStatus `json:"rules"`
	// Since is where the window of the scores begins.
	Since time.Time `json:"since"`
	// Missed are the rollbacks by people that no rule would have started, by target.
	Missed []TargetMisses `json:"missed,omitempty"`
}

// TargetMisses are the rollbacks of one target by people that no rule would have started.
type TargetMisses struct {
	Target string              `json:"target"`
	Moves  []incident.MoveBack `json:"moves"`
}

// Status is the installation as a whole.
type Status struct {
	Armed        bool                  `json:"armed"`
	Anonymous    bool                  `json:"anonymous,omitempty"` // the door is open to all: observe only
	Installation incident.Installation `json:"installation"`
	Config       string                `json:"config"`
	ReloadError  string                `json:"reload_error,omitempty"`
	Watchdogs    map[string]time.Time  `json:"watchdogs,omitempty"` // last Watchdog by source
	LastDelivery map[string]time.Time  `json:"last_delivery,omitempty"`
	Store        string                `json:"store,omitempty"`     // why nothing can be stored now
	Discovery    map[string][]string   `json:"discovery,omitempty"` // what is wrong with targets in clusters, by cluster
	Open         int                   `json:"open"`
}

// ErrNotFound: there is no such incident, target, rule or kept configuration.
var ErrNotFound = incident.ErrNotFound

// missing says what there is none of.
func missing(what, name string) error { return fmt.Errorf("%s %q: %w", what, name, ErrNotFound) }

// ErrDraining: the engine is starting or stopping; try again.
var ErrDraining = errors.New("starting or draining: try again")

// RefusedError says that the answer is no, and why. Commands exit with 1, the API answers 422.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

// StaleError says that what the person decided on is no longer so: the plan changed, expired or was decided. Commands
// exit with 6, the API answers 409.
type StaleError struct{ Reason string }

func (e *StaleError) Error() string { return e.Reason }

func refused(format string, args ...any) error { return &RefusedError{fmt.Sprintf(format, args...)} }
func stale(format string, args ...any) error   { return &StaleError{fmt.Sprintf(format, args...)} }

// Settlement is a person's word on a step in doubt.
type Settlement string

// What a person may say of a step in doubt.
const (
	ItHappened Settlement = "done"   // the effect is there: go on
	ItDidNot   Settlement = "repeat" // it is not: run the step again
)
